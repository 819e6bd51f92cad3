// Proof: the log verified away from the server, and a changed record named.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prove } from '../report.ts';
import { type Measures, type Stage } from '../stage.ts';

export async function proof(stage: Stage, measures: Measures, { checkpoint }: { checkpoint: string }): Promise<void> {
  const { fleet, report, scratch } = stage;
  report.chapter('Proof');
  const file = join(scratch, 'log.jsonl');
  const verify = async (exported: string) =>
    await fleet.tryCommand<{
      ok: boolean;
      size?: number;
      findings?: { what: string; device?: string; sequence?: number; message: string }[];
    }>('hmi-1', [
      'audit',
      'verify',
      exported,
      '--checkpoint',
      checkpoint,
      '--roots',
      join(fleet.paths.admin, 'roots.pem'),
      '--log-key',
      join(scratch, 'log.key'),
    ]);
  await report.step('audit verify against the checkpoint held elsewhere', async () => {
    const { verifierKey } = await fleet.admin<{ verifierKey: string }>('audit', 'checkpoint');
    writeFileSync(join(scratch, 'log.key'), verifierKey);
    const { entries } = await fleet.admin<{ entries: number }>('audit', 'export', '--out', file);
    const { code, document } = await verify(file);
    prove(code === 0 && document.ok, `audit verify: ${JSON.stringify(document)}`);
    measures.audit = { events: entries, verified: true };
    return `${entries} entries verified on hmi-1, without the server`;
  });
  await report.step('a changed record is found and named', async () => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const target = lines.findIndex((line) => line.includes('"kind":"entry"') || line.includes('"entry"'));
    const tampered = join(scratch, 'tampered.jsonl');
    writeFileSync(tampered, lines.filter((_, index) => index !== target + 5).join('\n'));
    const { code, document } = await verify(tampered);
    const found = document.findings?.find((finding) => finding.sequence !== undefined);
    prove(code === 1 && found !== undefined, `a removed record went unnoticed: ${JSON.stringify(document)}`);
    return `audit verify: ${found.what}, device ${found.device}, sequence ${found.sequence}: ${found.message}`;
  });
}
