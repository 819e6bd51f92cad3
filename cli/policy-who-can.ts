// edgeward policy who-can
import type { Command } from 'commander';
import { createIo } from './io.ts';
import { isoTime } from './options.ts';
import { freshnessOption, stateOption } from './policy-options.ts';
import { loadRooms, mustLoad, type Rooms } from './policy-rooms.ts';

type Asked = Parameters<Rooms['whoCan']>[2];

interface Options extends Omit<Asked, 'time'> {
  readonly json: boolean;
  readonly at?: number;
}

export function registerPolicyWhoCan(policy: Command): void {
  policy
    .command('who-can')
    .description('list every subject that may use an interface, with the rule that opens it and its conditions')
    .argument('<dir>')
    .requiredOption('--interface <name>', 'the interface')
    .option('--device <id>', 'only on this device')
    .option('--operation <name>', 'only this named operation')
    .addOption(stateOption())
    .addOption(freshnessOption())
    .option('--at <time>', 'ISO time; default now', isoTime)
    .option('--json', 'one JSON document on standard output', false)
    .action(async (directory: string, options: Options) => {
      const rooms = await loadRooms();
      const repository = mustLoad(rooms, await rooms.readDirectory(directory));
      const { interface: name, device, operation, state, freshness } = options;
      const time = options.at ?? Math.floor(Date.now() / 60_000) * 60_000;
      const asked = { interface: name, device, operation, time, state, freshness };
      const answer = rooms.whoCan(repository, rooms.decideWithEngine(), asked);
      createIo(options.json).result(answer, rooms.formatWhoCan(answer));
    });
}
