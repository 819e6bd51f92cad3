// edgeward control init|run
import type { Command } from 'commander';
import { requireEmpty } from './credential.ts';
import { createIo, timeText } from './io.ts';
import { untilStopped } from './signals.ts';

interface ControlOptions {
  readonly config: string;
  readonly json: boolean;
}

export function registerControl(program: Command): void {
  const control = program.command('control').description('the control plane');

  control
    .command('init')
    .description('make root, intermediate, orders key, log key and the first administrator (24 hours)')
    .requiredOption('--config <file>', 'configuration; see examples/config/control.yaml')
    .option('--publisher <file.pub>', 'public key of the first publisher (edgeward publisher create)')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: ControlOptions & { publisher?: string }) => {
      const { initControlPlane } = await import('../bin/control/init.ts');
      const made = await initControlPlane(options.config, options.publisher);
      const lines = [
        `trust domain   ${made.trustDomain}`,
        `root           ${made.rootFingerprint}`,
        `keys           ${made.keyFile} (sealed; the passphrase opens it)`,
        `administrator  ${made.adminDirectory} (until ${new Date(made.adminExpiresAt).toISOString()})`,
        `next           edgeward control run --config ${options.config}`,
      ];
      createIo(options.json).result({ ok: true, ...made }, lines.join('\n'));
    });

  control
    .command('credential')
    .description('a new administrator credential (24 hours), made with the key file and its passphrase; it is logged')
    .requiredOption('--config <file>', 'configuration; see examples/config/control.yaml')
    .requiredOption('--out <dir>', 'directory for key, chain, roots and address')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (options: ControlOptions & { out: string }) => {
      requireEmpty(options.out);
      const { issueAdministrator } = await import('../bin/control/init.ts');
      const { expiresAt } = await issueAdministrator(options.config, options.out);
      createIo(options.json).result(
        { ok: true, directory: options.out, expiresAt },
        `administrator in ${options.out} until ${timeText(expiresAt)}; use it with --identity ${options.out}`,
      );
    });

  control
    .command('run')
    .description('run the control plane until SIGTERM')
    .requiredOption('--config <file>', 'configuration; see examples/config/control.yaml')
    .option('--check', 'check the configuration and end; changes nothing', false)
    .option('--json', 'one JSON document on standard output (with --check)', false)
    .action(async (options: ControlOptions & { check: boolean }) => {
      if (options.check) {
        const { loadControlConfig } = await import('../bin/control/config.ts');
        const config = await loadControlConfig(options.config);
        createIo(options.json).result({ ok: true, config }, `${options.config} is fine`);
        return;
      }
      const { runControlPlane } = await import('../bin/control-plane.ts');
      await untilStopped(async (signal) => await runControlPlane(options.config, signal));
    });
}
