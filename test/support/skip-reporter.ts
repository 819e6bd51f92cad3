// A node:test reporter that writes one JSON list of the skipped tests: name, file, reason.
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export default async function* skipReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skipped: { name: string; file: string; reason: string }[] = [];
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, file, skip } = event.data;
    if (skip === undefined || skip === false) continue;
    skipped.push({ name, file: relative(process.cwd(), file ?? ''), reason: skip === true ? 'no reason given' : skip });
  }
  yield JSON.stringify(skipped);
}
