// edgeward site island|rejoin, edgeward response blocks|block|pardon
import { type Command, InvalidArgumentError } from 'commander';
import { adminCommand, withAdmin } from './admin-command.ts';
import { table, timeText } from './io.ts';
import { notBlank } from './options.ts';

interface TargetOptions {
  readonly device?: readonly string[];
  readonly site?: string;
  readonly fleet?: boolean;
  readonly reason: string;
}

const list = (text: string): readonly string[] => text.split(',').filter((id) => id !== '');

const seconds = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** `90s`, `15m`, `4h`, `7d`. */
export function duration(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const value = Number(count) * (seconds[unit as keyof typeof seconds] ?? Number.NaN);
  if (!(value >= 1 && value <= 7 * seconds.d)) {
    throw new InvalidArgumentError('Expected a time of one second to seven days, such as 15m, 4h or 7d.');
  }
  return value;
}

const targetOf = ({ device, site, fleet }: TargetOptions) => ({
  deviceIds: [...(device ?? [])],
  site: site ?? '',
  fleet: fleet ?? false,
});

function where(command: Command): Command {
  return command
    .option('--device <ids>', 'these devices, separated by commas', list)
    .option('--site <name>', 'the devices of the inventory with the label site=<name>')
    .requiredOption('--reason <text>', 'why; goes into order, history and audit', notBlank);
}

export function registerSites(program: Command): void {
  const site = program.command('site').description('a whole site at once: island mode, and back');
  const verbs = {
    island: { text: 'cut everything but safety operations, and those marked for island mode', call: 'islandDevices' },
    rejoin: { text: 'end island mode, ordered or entered on the devices', call: 'rejoinDevices' },
  } as const;
  for (const [name, { text, call }] of Object.entries(verbs)) {
    where(adminCommand(site.command(name)))
      .description(text)
      .action(
        withAdmin(async ({ admin, io }, options: TargetOptions) => {
          const { orderSequence, deviceIds } = await admin[call]({ target: targetOf(options), reason: options.reason });
          const done = deviceIds.length === 0 ? 'nothing to do, it is so already' : `order ${orderSequence}`;
          io.result({ ok: true, deviceIds, orderSequence }, `${name} ${deviceIds.join(' ')}: ${done}`);
        }),
      );
  }
}

/** Below `edgeward response`. */
export function registerBlocks(response: Command): void {
  adminCommand(response.command('blocks'))
    .description('addresses that edges block now: learned from traps and meters, or ordered')
    .action(
      withAdmin(async ({ admin, io }) => {
        const { blocks } = await admin.listBlocks({});
        const rows = blocks.map((block) => [
          block.address,
          block.deviceId || 'the fleet',
          block.rule || `order ${block.orderSequence}`,
          timeText(block.sinceMs),
          timeText(block.untilMs),
          block.by || '-',
          block.reason || '-',
        ]);
        io.result(
          { blocks },
          table(['address', 'on', 'rule', 'since', 'until', 'by', 'why'], rows, 'nobody is blocked'),
        );
      }),
    );

  where(adminCommand(response.command('block')))
    .description('block an address on devices, a site or the fleet; again for longer confirms a block')
    .argument('<address>')
    .option('--fleet', 'every device', false)
    .requiredOption('--for <time>', 'how long, e.g. 15m, 4h; at most 7d', duration)
    .action(
      withAdmin(async ({ admin, io }, address: string, options: TargetOptions & { for: number }) => {
        const { reason } = options;
        const asked = { address, target: targetOf(options), ttlSeconds: options.for, reason };
        const { orderSequence, untilMs } = await admin.blockAddress(asked);
        io.result(
          { ok: true, address, orderSequence, untilMs },
          `blocked ${address} until ${timeText(untilMs)}: order ${orderSequence}`,
        );
      }),
    );

  where(adminCommand(response.command('pardon')))
    .description('end blocks of an address, ordered or learned')
    .argument('<address>')
    .option('--fleet', 'on every device', false)
    .action(
      withAdmin(async ({ admin, io }, address: string, options: TargetOptions) => {
        const { reason } = options;
        const { orderSequence } = await admin.pardonAddress({ address, target: targetOf(options), reason });
        io.result({ ok: true, address, orderSequence }, `pardoned ${address}: order ${orderSequence}`);
      }),
    );
}
