// edgeward audit tail|query|checkpoint|export|verify
import type { Command } from 'commander';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AdminClient, adminCommand, withAdmin } from './admin-command.ts';
import { exportLog, readExport } from './audit-export.ts';
import { createIo, exitCodes, table, timeText } from './io.ts';
import { isoTime, wholeNumber } from './options.ts';

type LogEntry = Awaited<ReturnType<AdminClient['queryEvents']>>['entries'][number];

interface StoredEvent {
  readonly kind: string;
  readonly activity: string;
  readonly severity: string;
  readonly time: number;
  readonly data: Record<string, unknown>;
}

const eventOf = (entry: LogEntry): StoredEvent => JSON.parse(new TextDecoder().decode(entry.payload)) as StoredEvent;
const documentOf = (entry: LogEntry) => ({
  index: Number(entry.index),
  device: entry.deviceId,
  sequence: Number(entry.sequence),
  receivedAt: Number(entry.receivedAtMs),
  ...eventOf(entry),
});

function rowOf(entry: LogEntry) {
  const event = eventOf(entry);
  const data = Object.entries(event.data).filter(([, value]) => value !== '');
  return [
    Number(entry.index),
    timeText(event.time),
    entry.deviceId,
    event.kind,
    event.activity,
    event.severity,
    data.map(([key, value]) => `${key}=${String(value)}`).join(' '),
  ];
}
const columns = ['index', 'time', 'device', 'kind', 'activity', 'severity', 'data'];

interface Filter {
  readonly device?: string;
  readonly kind?: string;
}

export function registerAudit(program: Command): void {
  const audit = program.command('audit').description('the log: look, search, and prove that nobody changed it');
  const filtered = (command: Command): Command =>
    adminCommand(command)
      .option('--device <id>', 'only events that this device reported')
      .option('--kind <kind>', 'only this kind: authz, packet, modbus, device, order, finding …');

  filtered(audit.command('query'))
    .description('search the log, in log order')
    .option('--since <time>', 'ISO time', isoTime, 0)
    .option('--after <index>', 'only after this log index, for paging', wholeNumber(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--limit <n>', 'at most 1000', wholeNumber(1, 1000), 100)
    .action(
      withAdmin(async ({ admin, io }, options: Filter & { since: number; after: number; limit: number }) => {
        const { entries } = await admin.queryEvents({
          deviceId: options.device ?? '',
          kind: options.kind ?? '',
          sinceMs: BigInt(options.since),
          afterIndex: BigInt(options.after),
          limit: options.limit,
        });
        io.result({ events: entries.map(documentOf) }, table(columns, entries.map(rowOf), 'no events'));
      }),
    );

  filtered(audit.command('tail'))
    .description('events as they are stored, until interrupted; with --json one document a line')
    .action(
      withAdmin(async ({ admin, io }, options: Filter) => {
        for await (const { entry } of admin.tailEvents({ deviceId: options.device ?? '', kind: options.kind ?? '' })) {
          if (entry !== undefined) io.result(documentOf(entry), rowOf(entry).join('  '));
        }
      }),
    );

  adminCommand(audit.command('checkpoint'))
    .description('the signed checkpoint of the log; keep it somewhere else')
    .option('--out <file>', 'write it to a file')
    .action(
      withAdmin(async ({ admin, io }, options: { out?: string }) => {
        const { checkpoint, verifierKey } = await admin.getCheckpoint({});
        if (options.out !== undefined) writeFileSync(options.out, checkpoint);
        io.result(
          { checkpoint, verifierKey, file: options.out },
          options.out === undefined
            ? checkpoint.trimEnd()
            : `checkpoint in ${options.out}\nlog key ${verifierKey}   (keep it with the checkpoint; audit verify --log-key)`,
        );
      }),
    );

  adminCommand(audit.command('export'))
    .description('write the whole log with heads and checkpoint to a file, one JSON document a line')
    .requiredOption('--out <file>', 'file to write')
    .action(
      withAdmin(async ({ admin, io }, options: { out: string }) => {
        const count = await exportLog(admin, options.out);
        io.result({ ok: true, entries: count, file: options.out }, `${count} entries in ${options.out}`);
      }),
    );

  audit
    .command('verify')
    .description('check an exported log against checkpoints held elsewhere; trusts roots and log key, not the server')
    .argument('<export>', 'file written by audit export')
    .requiredOption('--checkpoint <file...>', 'checkpoints held elsewhere (audit checkpoint --out)')
    .requiredOption('--roots <file>', 'root certificates of the trust domain, PEM')
    .requiredOption('--log-key <key>', 'C2SP verifier key of the log, or a file with it')
    .option('--trust-domain <name>', 'default: the one that the log key names')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (file: string, options: VerifyOptions) => {
      const [{ verifyExport }, { certificatesFromPem }] = await Promise.all([
        import('../audit/verify/index.ts'),
        import('../identity/index.ts'),
      ]);
      const verifierKey = readKeyFile(options.logKey);
      const result = await verifyExport(readExport(file), {
        trustDomain: options.trustDomain ?? verifierKey.split('+')[0]?.replace(/\/audit$/, '') ?? '',
        verifierKey,
        roots: certificatesFromPem(readFileSync(options.roots, 'utf8')),
        held: options.checkpoint.map((path) => readFileSync(path, 'utf8')),
      });
      const lines = result.findings.map(
        (finding) =>
          `${finding.what}: device ${finding.device ?? '-'}, sequence ${finding.sequence ?? '-'}, index ${finding.index ?? '-'}: ${finding.message}`,
      );
      const good = `${result.size} entries verified, ${result.covered} of them under a held checkpoint; nothing was changed`;
      createIo(options.json).result(
        result,
        result.ok ? good : [`${result.findingsTotal} findings`, ...lines].join('\n'),
      );
      if (!result.ok) process.exitCode = exitCodes.refused;
    });
}

interface VerifyOptions {
  readonly checkpoint: readonly string[];
  readonly roots: string;
  readonly logKey: string;
  readonly trustDomain?: string;
  readonly json: boolean;
}

/** The option is a file with the key, or the key itself. */
function readKeyFile(option: string): string {
  try {
    return readFileSync(option, 'utf8').trim();
  } catch {
    return option;
  }
}
