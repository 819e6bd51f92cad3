// The attack on an enforced cell, and containment by the neighbours.
import type { PacketWatch } from '../../test/support/netns.ts';
import { attack, blocked, describe } from '../attack.ts';
import { until } from '../../test/support/until.ts';
import { containMs } from '../measure.ts';
import { prove } from '../report.ts';
import { addresses, fetchPage, page, parsePolls, plcPort, type Poll, poller } from '../site.ts';
import { type Measures, type Stage } from '../stage.ts';
import { stateOf } from './fleet-state.ts';

export async function underAttack(stage: Stage, measures: Measures): Promise<void> {
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
    const accepted = (): number[] => watch?.times() ?? [];
    const tries = (): Poll[] => parsePolls(workloads.gatewayPoller?.output() ?? '');
    const last = (): number => Math.max(...accepted());
    await until('silence at the PLC', async () => Promise.resolve(Date.now() - last() > 1_500), 10_000, 100);
    // Silence counts only while somebody knocks; a poll that hangs is told after a second.
    await until('a poll after the last accepted packet', async () =>
      Promise.resolve(tries().some(({ at }) => at > last())),
    );
    measures.detectToContainMs = containMs(firstHostile, accepted(), tries());
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
