// edgeward policy unused
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { type AdminClient, adminCommand, withAdmin } from './admin-command.ts';
import { cliErrors } from './errors.ts';
import { createIo } from './io.ts';
import { loadRooms, mustLoad, type Rooms } from './policy-rooms.ts';

interface Options {
  readonly json: boolean;
  readonly decisions?: string;
  /** Milliseconds. */
  readonly since?: number;
}

type Events = ReturnType<Rooms['readRecord']>;

export function registerPolicyUnused(policy: Command): void {
  adminCommand(policy.command('unused'))
    .description('least privilege: what of the grants no recorded decision used, and how far the record can tell')
    .argument('<dir>')
    .option('--decisions <file>', 'an exported log, or what audit query or tail --json wrote')
    .option('--since <duration>', 'ask the log of the control plane for the last 30d, 12h …', duration)
    .action(async (directory: string, options: Options, command: Command) => {
      const { decisions, since } = options;
      if ((decisions === undefined) === (since === undefined))
        throw cliErrors.error('CLI_USAGE', 'expected either --decisions <file> or --since <duration>');
      const rooms = await loadRooms();
      const repository = mustLoad(rooms, await rooms.readDirectory(directory));
      const events =
        decisions === undefined
          ? await fromControlPlane(rooms, Date.now() - (since ?? 0), command)
          : rooms.readRecord(readFileSync(decisions, 'utf8'), decisions);
      const report = rooms.unusedGrants(repository, rooms.recordOf(events));
      createIo(options.json).result(report, rooms.formatUnused(report));
    });
}

const pageSize = 1_000;

/** Every event since then; the kinds without decisions say that a device was there at all. */
async function fromControlPlane(rooms: Rooms, sinceMs: number, command: Command): Promise<Events> {
  const lines: string[] = [];
  const read = withAdmin(async ({ admin }) => {
    for (let afterIndex = 0n, more = true; more;) {
      const page: Awaited<ReturnType<AdminClient['queryEvents']>> = await admin.queryEvents({
        deviceId: '',
        kind: '',
        sinceMs: BigInt(sinceMs),
        afterIndex,
        limit: pageSize,
      });
      for (const { deviceId, payload } of page.entries)
        lines.push(JSON.stringify({ entry: { deviceId, payload: Buffer.from(payload).toString('base64') } }));
      afterIndex = page.entries.at(-1)?.index ?? afterIndex;
      more = page.entries.length === pageSize;
    }
  });
  await read(command);
  return rooms.readRecord(lines.join('\n'), 'the log of the control plane');
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function duration(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  if (count === '') throw new InvalidArgumentError('Expected a duration such as 90m, 12h or 30d.');
  return Number(count) * (unitMs[unit] ?? 0);
}
