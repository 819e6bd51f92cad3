// Without root, nftables or the foreign workloads: what can run, runs, on loopback. Identity, policy, decisions, evidence,
// containment and proof are real; packets and workloads are left out, by name.
import { readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { leafPem } from '../test/support/leaf-pem.ts';
import { endChild, run, start } from '../test/support/netns-process.ts';
import { createFleet, type Fleet, type Ground } from './fleet.ts';
import { until } from '../test/support/until.ts';
import { cleanOnSignal } from './interrupt.ts';
import { prove, type Report, StepFailed } from './report.ts';
import { type EdgeName, edges } from './site.ts';
import { type DemoOptions, noMeasures } from './stage.ts';

const leftOut = 'packet filter, nginx, the Modbus workload, the attack on the network and the cut link';

export async function tellSimulated(
  options: DemoOptions,
  missing: readonly string[],
  report: Report,
): Promise<boolean> {
  const terminal = process.stderr;
  terminal.write(`This machine has no ${missing.join(', ')}: left out are ${leftOut}. The rest runs on loopback.\n`);
  const scratch = mkdtempSync(join(tmpdir(), 'ewd-'));
  const children = new Set<ChildProcess>();
  const clean = async (): Promise<void> => {
    await Promise.all([...children].map(endChild));
    rmSync(scratch, { recursive: true, force: true });
  };
  const { interrupted } = cleanOnSignal(terminal, clean);
  const fleet = createFleet(thisHost(children), scratch);
  const measures = noMeasures();
  let ok = false;
  try {
    await tell(fleet, report, scratch, measures);
    ok = true;
  } catch (error) {
    if (interrupted()) return await new Promise(() => undefined);
    if (!(error instanceof StepFailed)) throw error;
    terminal.write(`\nThe demo stopped: ${error.message}\n`);
  } finally {
    if (!interrupted()) await clean();
  }
  terminal.write(`\n${report.table()}\n`);
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ ok, simulated: true, leftOut: [...missing], steps: report.steps, ...measures })}\n`,
    );
  return ok;
}

function thisHost(children: Set<ChildProcess>): Ground {
  return {
    network: {
      exec: async (_host, argv, options) => await run(argv, options),
      spawn: (_host, argv, options = {}) => start([...argv], children, options, false),
    },
    controlAddress: '127.0.0.1',
    edgeConfig: (name) => ['firewall: {mode: "off"}', `diagnostics: ${9181 + edges.indexOf(name)}`],
  };
}

async function tell(
  fleet: Fleet,
  report: Report,
  scratch: string,
  measures: ReturnType<typeof noMeasures>,
): Promise<void> {
  report.chapter('Enrol, attest, decide, remember, respond');
  await report.step('control plane and policy', async () => {
    fleet.writeControlConfig();
    await fleet.initControl();
    await fleet.start('control');
    await fleet.writePolicy(await fleet.measureReferences());
    return `policy publish: version ${(await fleet.publish()).version}`;
  });
  await report.step('three devices enrolled, attested, enforcing', async () => {
    const times = [];
    for (const name of edges) times.push(await fleet.enroll(name));
    measures.enrolMs = Math.round(Math.max(...times));
    for (const name of edges) await fleet.start(name);
    await until(
      'all edges trusted',
      async () => {
        const { devices } = await fleet.admin<{ devices: { state: string }[] }>('device', 'list');
        return devices.length === edges.length && devices.every((device) => device.state === 'trusted');
      },
      30_000,
      300,
    );
    return 'device list: all trusted';
  });
  await report.step('decisions of the HMI', async () => {
    const answers = [
      await ask(fleet, 'gateway-1', '/status'),
      await ask(fleet, 'gateway-1', '/admin/'),
      await ask(fleet, undefined, '/status'),
    ];
    prove(answers.join() === '200,403,401', `forward-auth answered ${answers.join()}`);
    return 'forward-auth over its socket: granted 200, no grant 403, no certificate 401';
  });
  await report.step('containment', async () => {
    await fleet.admin('device', 'quarantine', 'gateway-1', '--reason', 'demo');
    await until('the HMI refuses gateway-1', async () => (await ask(fleet, 'gateway-1', '/status')) === 403);
    return 'forward-auth: 403 for a quarantined device';
  });
  await report.step('proof', async () => {
    const [checkpoint, file] = [join(scratch, 'held.checkpoint'), join(scratch, 'log.jsonl')];
    const { verifierKey } = await fleet.admin<{ verifierKey: string }>('audit', 'checkpoint', '--out', checkpoint);
    await fleet.admin('audit', 'export', '--out', file);
    const roots = join(fleet.paths.admin, 'roots.pem');
    const result = await fleet.command<{ size: number }>('control', [
      'audit',
      'verify',
      file,
      '--checkpoint',
      checkpoint,
      '--roots',
      roots,
      '--log-key',
      verifierKey,
    ]);
    measures.audit = { events: result.size, verified: true };
    return `audit verify: ${result.size} entries`;
  });
}

/** Asks hmi-1's forward-auth as its nginx would. */
function ask(fleet: Fleet, from: EdgeName | undefined, target: string): Promise<number> {
  const leaf = from === undefined ? undefined : leafPem(readFileSync(fleet.paths.identity(from).chain, 'utf8'));
  const headers = {
    'x-edgeward-interface': 'hmi-web',
    'x-original-method': 'GET',
    'x-original-uri': target,
    ...(leaf === undefined ? {} : { 'x-client-verify': 'SUCCESS', 'x-client-cert': encodeURIComponent(leaf) }),
  };
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath: join(fleet.paths.edge('hmi-1'), 'run/forward-auth.sock'), path: '/', headers },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    call.once('error', reject);
    call.end();
  });
}
