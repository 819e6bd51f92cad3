// edgeward demo: the whole story on real parts.
import type { Command } from 'commander';
import { exitCodes } from './io.ts';

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description(
      'a control plane, three edges, real workloads, an attack without and with enforcement; needs root on Linux for the real parts',
    )
    .option('--json', 'one JSON document on standard output at the end', false)
    .option('--keep', 'leave everything running at the end, with the commands to look around', false)
    .action(async (options: { json: boolean; keep: boolean }) => {
      const { runDemo } = await import('../demo/index.ts');
      const ok = await runDemo(options);
      if (!ok) process.exitCode = exitCodes.refused;
    });
}
