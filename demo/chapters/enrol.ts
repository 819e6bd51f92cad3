// Enrol, attest, enforce: from nothing to three edges that deny by default.
import { join } from 'node:path';
import { until } from '../../test/support/until.ts';
import { prove } from '../report.ts';
import { addresses, edges, maintenancePort, modbusRead, modbusValue, webServer } from '../site.ts';
import { type Measures, type Stage } from '../stage.ts';
import { allEnforce } from './fleet-state.ts';

export async function enrolAndEnforce(stage: Stage, measures: Measures): Promise<void> {
  const { net, fleet, report } = stage;
  report.chapter('Enrol, attest, enforce');
  await report.step('control plane', async () => {
    fleet.writeControlConfig();
    const made = await fleet.initControl();
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
    await fleet.writePolicy(await fleet.measureReferences());
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
