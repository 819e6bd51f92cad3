// An export that does not fit ends with an error, whenever the disk says so.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { type ExportLogResponse, ExportLogResponseSchema } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { CodedError } from '../runtime/errors.ts';
import { requires } from '../test/support/capabilities.ts';
import { collect } from '../test/support/grpc-loopback.ts';
import type { AdminClient } from './admin-command.ts';
import { exportLog, readExport } from './audit-export.ts';

const entry = (bytes: number): ExportLogResponse =>
  create(ExportLogResponseSchema, { item: { case: 'entry', value: { payload: new Uint8Array(bytes) } } });

function serving(exported: () => AsyncIterable<ExportLogResponse>): AdminClient {
  return { exportLog: exported } as unknown as AdminClient;
}

/** Times apart: the disk refuses while nothing is being written. */
async function* slowly(): AsyncGenerator<ExportLogResponse> {
  yield entry(10);
  await delay(50);
}

async function* many(): AsyncGenerator<ExportLogResponse> {
  for (let n = 0; n < 100; n += 1) yield entry(64 * 1024);
}

for (const [what, log] of [
  ['more than the writer buffers', many],
  ['little, and the error comes between', slowly],
] as const) {
  test(`a full disk ends the export: ${what}`, async (t) => {
    if (!requires(t, 'linux')) return;
    await assert.rejects(
      async () => await exportLog(serving(log), '/dev/full'),
      (error) =>
        (error as NodeJS.ErrnoException).code === 'ENOSPC' && (error as { path?: string }).path === '/dev/full',
    );
  });
}

function fileFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ewx-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'log.jsonl');
}

test('what was exported is read again, entry by entry', async (t) => {
  const file = fileFor(t);
  assert.equal(await exportLog(serving(many), file), 100);
  const read = await collect(readExport(file));
  assert.deepEqual(read, await collect(many()));
});

test('a control plane that breaks off is named, not the file', async (t) => {
  const file = fileFor(t);
  const gone = new CodedError('RPC_UNAVAILABLE', { status: 'UNAVAILABLE', remedy: 'come back' }, 'gone');
  async function* broken(): AsyncGenerator<ExportLogResponse> {
    yield entry(10);
    throw gone;
  }
  await assert.rejects(async () => await exportLog(serving(broken), file), gone);
  assert.ok(readFileSync(file).length < 200);
});
