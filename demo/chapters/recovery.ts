// Recovery: the one path back, and the process that was read throughout.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readSetPoint } from '../attack.ts';
import { until } from '../../test/support/until.ts';
import { between, missed } from '../measure.ts';
import { prove } from '../report.ts';
import { addresses, modbusRead, modbusValue, modbusWrite, parsePolls, setPoint } from '../site.ts';
import { type Measures, pollMs, type Stage } from '../stage.ts';
import { stateOf } from './fleet-state.ts';

export async function recovery(stage: Stage, measures: Measures): Promise<void> {
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
    const kept = await readSetPoint(net);
    prove(kept === setPoint.value, `the set-point is ${kept}`);
    prove((await stateOf(fleet, 'gateway-1')) === 'trusted', 'gateway-1 is not trusted again');
    measures.recovered = true;
    return `mbpoll: read ${value}; device show: trusted; set-point ${kept}, as before the attack`;
  });
}

export async function processThroughout(
  { report, workloads }: Stage,
  measures: Measures,
  started: number,
): Promise<void> {
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
