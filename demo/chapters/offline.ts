// The cloud is cut off: decisions, containment and evidence go on.
import { join } from 'node:path';
import { until } from '../../test/support/until.ts';
import { prove } from '../report.ts';
import { addresses, fetchPage, page, plcPort } from '../site.ts';
import { type Measures, type Stage } from '../stage.ts';

export async function withoutCloud(stage: Stage, measures: Measures): Promise<{ checkpoint: string }> {
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
