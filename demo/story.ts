// The story of the demo, step by step. Every step is asserted by a foreign client or a packet probe.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Network, NetProcess, PacketWatch } from '../test/support/netns.ts';
import { attack, type AttackResult, blocked, readSetPoint, restoreSetPoint, succeeded } from './attack.ts';
import { type Fleet, until } from './fleet.ts';
import { between, missed, p99 } from './measure.ts';
import { prove, type Report } from './report.ts';
import {
  addresses,
  type EdgeName,
  edges,
  fetchPage,
  type HostName,
  maintenancePort,
  maintenanceServer,
  modbusRead,
  modbusValue,
  modbusWrite,
  page,
  parsePolls,
  plcPort,
  plcServer,
  poller,
  setPoint,
  webServer,
} from './site.ts';

export interface Stage {
  readonly net: Network<HostName>;
  readonly fleet: Fleet;
  readonly report: Report;
  readonly scratch: string;
  /** Programs that have to be found again in a later step. */
  readonly workloads: { web?: NetProcess; hmiPoller?: NetProcess; gatewayPoller?: NetProcess };
}

/** What the JSON document at the end holds besides the steps. */
export interface Measures {
  attack: { offSucceeded: boolean; onBlocked: boolean };
  detectToContainMs: number | null;
  enrolMs: number | null;
  publishToEnforcedMs: number | null;
  offline: { decisions: number; denied: number; lostEvents: number };
  process: { pollsExpected: number; pollsMissed: number; addedMsP99: number | null };
  audit: { events: number; verified: boolean };
  recovered: boolean;
}

export const noMeasures = (): Measures => ({
  attack: { offSucceeded: false, onBlocked: false },
  detectToContainMs: null,
  enrolMs: null,
  publishToEnforcedMs: null,
  offline: { decisions: 0, denied: 0, lostEvents: 0 },
  process: { pollsExpected: 0, pollsMissed: 0, addedMsP99: null },
  audit: { events: 0, verified: false },
  recovered: false,
});

const pollMs = 100;

export async function tellStory(stage: Stage, measures: Measures): Promise<void> {
  const before = await withoutEnforcement(stage, measures);
  await enrolAndEnforce(stage, measures);
  const started = await underEnforcement(stage, measures, before);
  await underAttack(stage, measures);
  const cutOff = await withoutCloud(stage, measures);
  await proof(stage, measures, cutOff);
  await recovery(stage, measures);
  await processThroughout(stage, measures, started);
}

async function withoutEnforcement({ net, report, scratch, workloads }: Stage, measures: Measures): Promise<number> {
  report.chapter('Before: a plant cell without Edgeward');
  let baseline = 0;
  await report.step('workloads run', async () => {
    await net.spawn('plc-1', plcServer(addresses['plc-1'])).waitFor(/ready/);
    net.spawn('plc-1', maintenanceServer(addresses['plc-1']));
    workloads.web = net.spawn('hmi-1', webServer({ scratch: join(scratch, 'hmi-web'), address: addresses['hmi-1'] }));
    await until(
      'the page of the HMI',
      async () => page((await net.exec('gateway-1', fetchPage('/status'))).stdout).status === 200,
    );
    const value = modbusValue((await net.exec('hmi-1', modbusRead(addresses['plc-1'], setPoint.register))).stdout);
    prove(value === setPoint.value, `mbpoll read ${value} from the PLC, expected ${setPoint.value}`);
    const polls = net.spawn('hmi-1', poller(addresses['plc-1'], 20));
    await delay(2_500);
    await polls.stop();
    baseline = p99(parsePolls(polls.output()));
    return `curl: 200 from nginx; mbpoll: set-point ${value}; pymodbus polls in ${baseline.toFixed(1)} ms (p99)`;
  });
  await report.step('the attack with enforcement off', async () => {
    const result = await attack(net);
    measures.attack.offSucceeded = succeeded(result);
    prove(measures.attack.offSucceeded, `the attack did not work: ${describe(result)}`);
    await restoreSetPoint(net);
    return describe(result);
  });
  return baseline;
}

const describe = ({ openPorts, adminStatus, writeAnswer, setPointAfter }: AttackResult): string =>
  `curl /admin/: ${adminStatus}; mbpoll write: ${writeAnswer}, set-point ${setPointAfter}; scan: ports ${openPorts.plc.join(', ') || 'none'} on the PLC, ${openPorts.hmi.join(', ') || 'none'} on the HMI`;

async function enrolAndEnforce(stage: Stage, measures: Measures): Promise<void> {
  const { net, fleet, report } = stage;
  report.chapter('Enrol, attest, enforce');
  await report.step('control plane', async () => {
    fleet.writeControlConfig();
    await fleet.command('control', ['publisher', 'create', fleet.paths.publisher]);
    const made = await fleet.command<{ rootFingerprint: string }>('control', [
      'control',
      'init',
      '--config',
      fleet.paths.controlConfig,
      '--publisher',
      `${fleet.paths.publisher}.pub`,
    ]);
    await fleet.start('control');
    const { stdout } = await net.exec(
      'gateway-1',
      ['openssl', 's_client', '-connect', `${addresses.control}:7442`, '-alpn', 'h2', '-showcerts'],
      { input: '' },
    );
    prove(/spiffe|TLSv1\.3/.test(stdout), 'openssl s_client found no TLS 1.3 at the enrolment listener');
    return `openssl s_client: TLS 1.3; root ${made.rootFingerprint.slice(0, 23)}…`;
  });
  await report.step('policy published from a git commit', async () => {
    const references: Record<string, Record<string, string[]>> = {};
    for (const name of edges) {
      fleet.writeEdgeConfig(name);
      const { executables } = await fleet.command<{ executables: Record<string, string[]> }>(name, [
        'attest',
        'measure',
        '--config',
        fleet.paths.edgeConfig(name),
      ]);
      references[name] = executables;
    }
    await fleet.writePolicy(references);
    const published = await fleet.publish();
    const { stdout } = await net.exec('control', ['git', '-C', fleet.paths.policy, 'rev-parse', '--short', 'HEAD']);
    return `git: commit ${stdout.trim()}; version ${published.version}`;
  });
  await report.step('three devices enrolled', async () => {
    const times = [];
    for (const name of edges) times.push(await fleet.enroll(name));
    measures.enrolMs = Math.round(Math.max(...times));
    const { stdout } = await net.exec('plc-1', [
      'openssl',
      'x509',
      '-in',
      fleet.paths.identity('plc-1').chain,
      '-noout',
      '-ext',
      'subjectAltName',
    ]);
    prove(stdout.includes('URI:spiffe://plant.example/device/plc-1'), `openssl shows ${stdout}`);
    return `openssl x509: ${stdout.trim().split('\n').at(-1)?.trim()}; slowest ${measures.enrolMs} ms, process start included`;
  });
  await report.step('edges attest and enforce', async () => {
    for (const name of edges) await fleet.start(name);
    await guardWeb(stage);
    await until('all edges trusted and enforcing', async () => await allEnforce(fleet), 30_000, 300);
    const closed = await net.probeTcp('gateway-1', addresses['plc-1'], maintenancePort);
    prove(closed !== 'open', `the forgotten maintenance port is ${closed}`);
    const value = modbusValue((await net.exec('gateway-1', modbusRead(addresses['plc-1'], 0))).stdout);
    prove(value !== undefined, 'gateway-1 cannot read the PLC although it has a grant');
    return 'TCP probe: the maintenance port is closed; mbpoll: the granted read goes on';
  });
}

async function guardWeb({ net, fleet, scratch, workloads }: Stage): Promise<void> {
  await workloads.web?.stop();
  const edge = fleet.paths.edge('hmi-1');
  workloads.web = net.spawn(
    'hmi-1',
    webServer({
      scratch: join(scratch, 'hmi-web'),
      address: addresses['hmi-1'],
      guard: {
        rootsFile: join(edge, 'state/identity/roots.pem'),
        forwardAuthSocket: join(edge, 'run/forward-auth.sock'),
      },
    }),
  );
}

async function allEnforce(fleet: Fleet): Promise<boolean> {
  const { version, edges: rows } = await fleet.admin<{
    version: number;
    edges: { deviceId: string; enforcedVersion: number }[];
  }>('policy', 'status');
  if (!edges.every((name) => rows.some((row) => row.deviceId === name && row.enforcedVersion === version)))
    return false;
  const { devices } = await fleet.admin<{ devices: { deviceId: string; state: string }[] }>('device', 'list');
  return edges.every((name) => devices.some((device) => device.deviceId === name && device.state === 'trusted'));
}

async function underEnforcement(stage: Stage, measures: Measures, baseline: number): Promise<number> {
  const { net, fleet, report, workloads } = stage;
  const view = async (from: EdgeName): Promise<number> =>
    page((await net.exec(from, fetchPage('/status', fleet.paths.identity(from)))).stdout).status;
  let started = 0;
  await report.step('decisions: grant, no grant, no certificate', async () => {
    await until('the granted page', async () => (await view('gateway-1')) === 200, 5_000);
    const admin = page(
      (await net.exec('gateway-1', fetchPage('/admin/', fleet.paths.identity('gateway-1')))).stdout,
    ).status;
    const nobody = page((await net.exec('gateway-1', fetchPage('/status'))).stdout).status;
    prove(admin === 403 && nobody === 401, `curl: /admin/ ${admin}, without certificate ${nobody}`);
    return 'curl: /status 200, /admin/ 403, without certificate 401';
  });
  await report.step('reads go on, measured', async () => {
    const polls = net.spawn('hmi-1', poller(addresses['plc-1'], 20));
    await delay(2_500);
    await polls.stop();
    const now = p99(parsePolls(polls.output()));
    measures.process.addedMsP99 = Number((now - baseline).toFixed(2));
    started = Date.now();
    workloads.hmiPoller = net.spawn('hmi-1', poller(addresses['plc-1'], pollMs));
    return `pymodbus: ${now.toFixed(1)} ms (p99), ${measures.process.addedMsP99} ms more than without`;
  });
  await report.step('a new grant, from commit to enforcement', async () => {
    const before = page((await net.exec('plc-1', fetchPage('/status', fleet.paths.identity('plc-1')))).stdout).status;
    prove(before === 0, `plc-1 already reaches the page of the HMI: ${before}`);
    await fleet.editPolicy(
      'grants/cell.yaml',
      (text) => text.replace(/\ngrants:\n/, `\ngrants:\n${newGrant}`),
      'the PLC may view the HMI',
    );
    await fleet.editPolicy(
      'casbin/hmi/policy.csv',
      (text) =>
        `${text.trimEnd()}\n${text
          .split('\n')
          .filter((line) => line.includes('gateway-1'))
          .join('\n')
          .replaceAll('gateway-1', 'plc-1')}\n`,
      'also in the model of the HMI',
    );
    const from = performance.now();
    await fleet.publish();
    const published = performance.now();
    await until('the new grant', async () => (await view('plc-1')) === 200, 10_000, 20);
    measures.publishToEnforcedMs = Math.round(performance.now() - published);
    await until('acknowledged by all', async () => await allEnforce(fleet), 10_000, 200);
    return `curl from plc-1: 200, ${measures.publishToEnforcedMs} ms after the publication (${Math.round(published - from)} ms) ended; policy status: all edges`;
  });
  return started;
}

const newGrant = `  - id: plc-views-hmi
    subjects: [plc-1]
    interface: hmi-web
    operations: [view]
    binding: svid

`;

async function underAttack(stage: Stage, measures: Measures): Promise<void> {
  const { net, fleet, report, workloads } = stage;
  report.chapter('The attack: gateway-1 is taken over');
  let watch: PacketWatch | undefined;
  let firstHostile = 0;
  await report.step('the attacker owns gateway-1', async () => {
    workloads.gatewayPoller = net.spawn('gateway-1', poller(addresses['plc-1'], 20));
    await until('gateway-1 reads', async () =>
      Promise.resolve(parsePolls(workloads.gatewayPoller?.output() ?? '').some((poll) => poll.ok)),
    );
    // Root on the host: the enforcer dies and its rules are flushed. What counts is what the neighbours do.
    await fleet.stop('gateway-1', 'SIGKILL');
    await net.exec('gateway-1', ['nft', 'flush', 'ruleset']);
    const { stdout } = await net.exec('gateway-1', ['nft', 'list', 'ruleset']);
    prove(stdout.trim() === '', 'gateway-1 still has rules');
    watch = await net.watch('plc-1', { hook: 'input', match: `ip saddr ${addresses['gateway-1']}` });
    return 'nft: no rules left on gateway-1, its enforcer is dead';
  });
  await report.step('scan, forbidden page and PLC write are stopped', async () => {
    firstHostile = Date.now();
    const result = await attack(net, fleet.paths.identity('gateway-1'));
    measures.attack.onBlocked = blocked(result);
    prove(measures.attack.onBlocked, `the attack got through: ${describe(result)}`);
    return describe(result);
  });
  await report.step('contained by its neighbours', async () => {
    await until('quarantine', async () => (await stateOf(fleet, 'gateway-1')) === 'quarantined', 10_000, 100);
    await delay(1_500);
    const last = (watch?.times() ?? []).filter((at) => at >= firstHostile).at(-1) ?? firstHostile;
    measures.detectToContainMs = Math.round(last - firstHostile);
    prove(Date.now() - last > 1_000, 'the PLC still accepts packets of gateway-1');
    const tcp = await net.probeTcp('gateway-1', addresses['plc-1'], plcPort);
    const web = page(
      (await net.exec('gateway-1', fetchPage('/status', fleet.paths.identity('gateway-1')))).stdout,
    ).status;
    prove(tcp !== 'open' && web === 0, `gateway-1 still gets through: PLC ${tcp}, HMI ${web}`);
    await watch?.stop();
    await workloads.gatewayPoller?.stop();
    return `packets at the PLC: last accepted ${measures.detectToContainMs} ms after the first hostile one; TCP probe: ${tcp}; curl: nothing answers`;
  });
}

async function stateOf(fleet: Fleet, device: string): Promise<string> {
  const { device: found } = await fleet.admin<{ device: { state: string } | null }>('device', 'show', device);
  return found?.state ?? '';
}

async function withoutCloud(stage: Stage, measures: Measures): Promise<{ checkpoint: string }> {
  const { net, fleet, report } = stage;
  report.chapter('The cloud is cut off');
  const checkpoint = join(stage.scratch, 'held-elsewhere.checkpoint');
  const view = async (target: string): Promise<number> =>
    page((await net.exec('plc-1', fetchPage(target, fleet.paths.identity('plc-1')))).stdout).status;
  await report.step('a checkpoint is kept elsewhere, then the link is cut', async () => {
    await fleet.admin('audit', 'checkpoint', '--out', checkpoint);
    await net.cut('control');
    const reached = await net.ping('hmi-1', addresses.control);
    prove(!reached, 'the control plane still answers');
    return `ping: no answer from ${addresses.control}`;
  });
  await report.step('decisions go on', async () => {
    const allowed: number[] = [];
    const denied: number[] = [];
    for (let n = 0; n < 10; n++) {
      allowed.push(await view('/status'));
      denied.push(await view('/admin/'));
    }
    measures.offline.decisions = allowed.length + denied.length;
    measures.offline.denied = denied.filter((status) => status === 403).length;
    prove(
      allowed.every((status) => status === 200) && measures.offline.denied === 10,
      `curl: ${allowed.join(' ')} / ${denied.join(' ')}`,
    );
    const still = await net.probeTcp('gateway-1', addresses['plc-1'], plcPort);
    prove(still !== 'open', 'the quarantine ended with the link');
    return `curl: 10 allowed, 10 refused; TCP probe: gateway-1 stays ${still}`;
  });
  await report.step('the enforcer of the HMI is killed: rules stay, requests are denied', async () => {
    await fleet.stop('hmi-1', 'SIGKILL');
    const closed = await net.probeTcp('gateway-1', addresses['hmi-1'], 22);
    const refused = await view('/status');
    prove(closed !== 'open' && refused !== 200, `TCP ${closed}, curl ${refused}`);
    return `TCP probe: ${closed}; curl: ${refused}`;
  });
  await report.step('it starts from its last verified bundle, without network', async () => {
    await fleet.start('hmi-1');
    await until('decisions again', async () => (await view('/status')) === 200, 10_000);
    prove((await view('/admin/')) === 403, 'the page that nobody may see is open');
    return 'curl: /status 200, /admin/ 403';
  });
  await report.step('the link is back, nothing is lost', async () => {
    await net.mend('control');
    const names = ['plc-1', 'hmi-1'] as const;
    await until(
      'the spools are delivered',
      async () => {
        const all = await Promise.all(names.map(async (name) => await fleet.status(name)));
        return all.every(({ spool, stream }) => stream.connected && spool.acknowledged === spool.sequence);
      },
      20_000,
      300,
    );
    const all = await Promise.all(names.map(async (name) => await fleet.status(name)));
    measures.offline.lostEvents = all.reduce((sum, { spool }) => sum + spool.lost, 0);
    const { events } = await fleet.admin<{ events: { data: { path?: string; decision?: string } }[] }>(
      'audit',
      'query',
      '--kind',
      'authz',
      '--device',
      'hmi-1',
      '--limit',
      '1000',
    );
    const remembered = events.filter(({ data }) => data.path === '/admin/' && data.decision === 'deny').length;
    prove(
      measures.offline.lostEvents === 0 && remembered >= measures.offline.denied,
      `${measures.offline.lostEvents} lost; the log has ${remembered} of ${measures.offline.denied} refusals`,
    );
    return `audit query: ${remembered} refusals of /admin/ in the log; ${measures.offline.lostEvents} lost`;
  });
  return { checkpoint };
}

async function proof(stage: Stage, measures: Measures, { checkpoint }: { checkpoint: string }): Promise<void> {
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
  await report.step('a changed record is found and named', async () => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const target = lines.findIndex((line) => line.includes('"kind":"entry"') || line.includes('"entry"'));
    const tampered = join(scratch, 'tampered.jsonl');
    writeFileSync(tampered, lines.filter((_, index) => index !== target + 5).join('\n'));
    const { code, document } = await verify(tampered);
    const found = document.findings?.find((finding) => finding.sequence !== undefined);
    prove(code === 1 && found !== undefined, `a removed record went unnoticed: ${JSON.stringify(document)}`);
    return `audit verify: ${found.what}, device ${found.device}, sequence ${found.sequence}: ${found.message}`;
  });
}

async function recovery(stage: Stage, measures: Measures): Promise<void> {
  const { net, fleet, report } = stage;
  report.chapter('Recovery');
  await report.step('no way back but the path', async () => {
    const early = await fleet.tryCommand<{ error?: { code: string } }>('control', [
      'device',
      'release',
      'gateway-1',
      '--reason',
      'too early',
      '--identity',
      fleet.paths.admin,
    ]);
    prove(
      early.code === 1 && early.document.error?.code === 'RESPONSE_REIMAGE_NEEDED',
      `device release: ${JSON.stringify(early.document)}`,
    );
    return 'device release: refused (RESPONSE_REIMAGE_NEEDED)';
  });
  await report.step('gateway-1 re-imaged, with a new key and a new token', async () => {
    rmSync(join(fleet.paths.edge('gateway-1'), 'state'), { recursive: true });
    await fleet.enroll('gateway-1', ['--reimage']);
    await fleet.start('gateway-1');
    await until(
      'attested',
      async () => {
        const { device } = await fleet.admin<{ device: { state: string; attestationClass: string } | null }>(
          'device',
          'show',
          'gateway-1',
        );
        return device?.state === 'recovering' && device.attestationClass === 'software';
      },
      20_000,
      200,
    );
    const write = await net.exec('gateway-1', modbusWrite(addresses['plc-1'], setPoint.register, 1));
    const value = modbusValue((await net.exec('gateway-1', modbusRead(addresses['plc-1'], 0))).stdout);
    prove(value === undefined && write.code !== 0, `a recovering device reads ${value}`);
    return 'device show: recovering, attested; mbpoll: still nothing';
  });
  await report.step('released by a person, it reads again', async () => {
    await fleet.admin('device', 'release', 'gateway-1', '--reason', 're-imaged and checked');
    const value = await until(
      'gateway-1 reads',
      async () => modbusValue((await net.exec('gateway-1', modbusRead(addresses['plc-1'], 0))).stdout),
      10_000,
    );
    await net.exec('gateway-1', modbusWrite(addresses['plc-1'], setPoint.register, 666));
    const kept = await readSetPoint(net);
    prove(kept === setPoint.value, `the set-point is ${kept}`);
    measures.recovered = true;
    return `mbpoll: read ${value}; a write still changes nothing (set-point ${kept})`;
  });
}

async function processThroughout({ report, workloads }: Stage, measures: Measures, started: number): Promise<void> {
  await report.step('the process was read throughout', async () => {
    const end = Date.now();
    const polls = parsePolls(workloads.hmiPoller?.output() ?? '');
    const counted = missed(polls, started + 1_000, end - 500, pollMs);
    await workloads.hmiPoller?.stop();
    measures.process.pollsExpected = counted.expected;
    measures.process.pollsMissed = counted.missed;
    const failures = between(polls, started + 1_000, end - 500).filter((poll) => !poll.ok);
    prove(
      counted.missed === 0,
      `pymodbus missed ${counted.missed} of ${counted.expected} polls: ${failures
        .slice(0, 3)
        .map((poll) => `${poll.error} at ${new Date(poll.at).toISOString()}`)
        .join('; ')}`,
    );
    return `pymodbus on hmi-1: ${counted.expected} polls through attack, containment, cut and recovery, ${counted.missed} missed`;
  });
}
