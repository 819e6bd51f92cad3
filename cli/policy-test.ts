// edgeward policy test
import type { Command } from 'commander';
import { createIo, exitCodes } from './io.ts';
import { loadRooms, mustLoad } from './policy-rooms.ts';

interface Options {
  readonly json: boolean;
}

export function registerPolicyTest(policy: Command): void {
  policy
    .command('test')
    .description('run the tests of the repository against the engine that the edges run')
    .argument('<dir>')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (directory: string, options: Options) => {
      const rooms = await loadRooms();
      const repository = mustLoad(rooms, await rooms.readDirectory(directory));
      const report = rooms.runPolicyTests(repository, rooms.decideWithEngine(), Date.now());
      createIo(options.json).result(report, rooms.formatTestReport(report));
      if (!report.ok) process.exitCode = exitCodes.refused;
    });
}
