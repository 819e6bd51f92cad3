// Before: the plant cell without Edgeward, and the attack that works.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { attack, describe, restoreSetPoint, succeeded } from '../attack.ts';
import { until } from '../../test/support/until.ts';
import { p99 } from '../measure.ts';
import { prove } from '../report.ts';
import {
  addresses,
  fetchPage,
  maintenanceServer,
  modbusRead,
  modbusValue,
  page,
  parsePolls,
  plcServer,
  poller,
  setPoint,
  webServer,
} from '../site.ts';
import { type Measures, type Stage } from '../stage.ts';

export async function withoutEnforcement(
  { net, report, scratch, workloads }: Stage,
  measures: Measures,
): Promise<number> {
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
