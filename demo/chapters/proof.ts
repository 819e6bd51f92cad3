// Proof: the log verified away from the server, a changed and a missing record named.
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
  const lines = (): string[] => readFileSync(file, 'utf8').trimEnd().split('\n');
  /** An export with other lines; gives what audit verify found about the record. */
  const foundIn = async (changed: readonly string[], { deviceId, sequence }: Entry): Promise<string> => {
    const tampered = join(scratch, 'tampered.jsonl');
    writeFileSync(tampered, `${changed.join('\n')}\n`);
    const { code, document } = await verify(tampered);
    const found = document.findings?.find((one) => one.device === deviceId && one.sequence === Number(sequence));
    prove(
      code === 1 && found !== undefined,
      `sequence ${sequence} of ${deviceId} was changed: ${JSON.stringify(document)}`,
    );
    return `audit verify: ${found.what}, device ${found.device}, sequence ${found.sequence}: ${found.message}`;
  };
  await report.step('one changed bit of a record is found and named', async () => {
    const { at, entry } = victim(lines());
    const payload = Buffer.from(entry.payload, 'base64');
    payload.writeUInt8(payload.readUInt8(payload.length - 3) ^ 1, payload.length - 3);
    const line = JSON.stringify({ entry: { ...entry, payload: payload.toString('base64') } });
    return await foundIn(lines().with(at, line), entry);
  });
  await report.step('a record that was taken out is found and named', async () => {
    const { at, entry } = victim(lines());
    return await foundIn(lines().toSpliced(at, 1), entry);
  });
}

interface Entry {
  readonly deviceId: string;
  readonly sequence: string;
  readonly payload: string;
}

/** A record in the middle of what plc-1 has said. */
function victim(lines: readonly string[]): { readonly at: number; readonly entry: Entry } {
  const entries = lines.map((line) => (JSON.parse(line) as { entry?: Entry }).entry);
  const at = entries.findIndex((entry) => entry?.deviceId === 'plc-1' && Number(entry.sequence) === 5);
  const entry = entries[at];
  prove(entry !== undefined, 'the log has no fifth record of plc-1');
  return { at, entry };
}
