// The demo: sets the stage, tells the story, reports, cleans up.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasCapability } from '../test/support/capabilities.ts';
import { createNetwork, type Network } from '../test/support/netns.ts';
import { createFleet, namespaces } from './fleet.ts';
import { createReport, StepFailed } from './report.ts';
import { cleanOnSignal } from './interrupt.ts';
import { addresses, cellHosts, type HostName } from './site.ts';
import { type DemoOptions, noMeasures, type Stage } from './stage.ts';
import { tellStory } from './story.ts';

const needed = ['root', 'linux', 'nft', 'netns', 'nginx', 'pymodbus', 'mbpoll', 'curl', 'openssl', 'tcpdump'] as const;

/** True when every step showed what it had to. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const terminal = process.stderr;
  const report = createReport(terminal);
  const measures = noMeasures();
  const missing = needed.filter((name) => !hasCapability(name));
  if (missing.length > 0) {
    const { tellSimulated } = await import('./simulated.ts');
    return await tellSimulated(options, missing, report);
  }
  const scratch = mkdtempSync(join(tmpdir(), 'ewd-'));
  let built: Network<HostName> | undefined;
  const clean = async (): Promise<void> => {
    await built?.close();
    rmSync(scratch, { recursive: true, force: true });
  };
  const { interrupted } = cleanOnSignal(terminal, clean);
  const net = (built = await createNetwork({ hosts: cellHosts }));
  const fleet = createFleet(namespaces(net), scratch);
  const stage: Stage = { net, fleet, report, scratch, workloads: {} };
  const started = performance.now();
  let ok = false;
  try {
    await tellStory(stage, measures);
    ok = true;
  } catch (error) {
    if (interrupted()) return await new Promise(() => undefined);
    if (!(error instanceof StepFailed)) throw error;
    terminal.write(`\nThe demo stopped: ${error.message}\n${logs(stage)}`);
  } finally {
    if (!options.keep && !interrupted()) await clean();
  }
  terminal.write(
    `\n${report.table()}\n\n${ok ? 'All steps held' : 'Not all steps held'}, ${((performance.now() - started) / 1000).toFixed(0)} s.\n`,
  );
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ ok, simulated: false, leftOut: [], steps: report.steps, ...measures })}\n`,
    );
  if (options.keep) {
    keepRunning(net, fleet, terminal);
    await new Promise(() => undefined);
  }
  return ok;
}

/** The last lines of the programs' logs, for whoever has to find out why. */
function logs({ fleet }: Stage): string {
  return (['control', 'gateway-1', 'plc-1', 'hmi-1'] as const)
    .flatMap((name) => {
      const lines = fleet.outputOf(name).trimEnd().split('\n').slice(-8);
      return lines.length === 0 ? [] : [`--- ${name}`, ...lines];
    })
    .join('\n');
}

function keepRunning(
  net: Network<HostName>,
  fleet: ReturnType<typeof createFleet>,
  terminal: { write(text: string): unknown },
): void {
  const look = [
    ['policy status', net.commandOn('control', ['bin/edgeward', 'policy', 'status', '--identity', fleet.paths.admin])],
    ['devices', net.commandOn('control', ['bin/edgeward', 'device', 'list', '--identity', fleet.paths.admin])],
    ['the log', net.commandOn('control', ['bin/edgeward', 'audit', 'tail', '--identity', fleet.paths.admin])],
    [
      'the PLC',
      net.commandOn('plc-1', ['bin/edgeward', 'edge', 'status', '--config', fleet.paths.edgeConfig('plc-1')]),
    ],
    ['its rules', net.commandOn('plc-1', ['nft', 'list', 'ruleset'])],
    [
      'read the PLC',
      net.commandOn('hmi-1', ['mbpoll', '-1', '-m', 'tcp', '-t', '4', '-r', '1', '-c', '11', addresses['plc-1']]),
    ],
  ] as const;
  terminal.write(`\nEverything keeps running. From this folder, in another terminal:\n`);
  for (const [what, argv] of look) terminal.write(`  ${what.padEnd(14)} ${argv.join(' ')}\n`);
  terminal.write('End it with Ctrl-C.\n');
}
