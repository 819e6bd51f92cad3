// Under enforcement: grants, refusals, latency, and a new grant from commit to enforcement.
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../test/support/until.ts';
import { p99 } from '../measure.ts';
import { prove } from '../report.ts';
import { addresses, type EdgeName, fetchPage, page, parsePolls, poller } from '../site.ts';
import { type Measures, pollMs, type Stage } from '../stage.ts';
import { allEnforce } from './fleet-state.ts';

export async function underEnforcement(stage: Stage, measures: Measures, baseline: number): Promise<number> {
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
