// A grant with a number of uses and an obligation, on real programs: what the edge let through stays spent when it is
// killed and when a new bundle comes; the evidence says which limit was reached.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/until.ts';
import { type Answer, checkByEnvoy } from './proxies.ts';
import { createSite } from './site.ts';

const grants = (more: string) => (text: string) =>
  text.replace(/ {4}operations: \[view\]\n(?: {4}(?:uses|obligations).*\n)*/, `    operations: [view]\n${more}`);

test('uses survive kill -9 and a new bundle; a new limit is a new count', { timeout: 120_000 }, async () => {
  const limited = '    uses: 3\n    obligations: [{ id: log }]\n';
  await using site = await createSite({ policy: { 'grants/cell.yaml': grants(limited) } });
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await site.startEdge('hmi-1');
  const question = { interface: 'hmi-web', path: '/status', chain: site.paths.chain('gateway-1') };
  const ask = (): Promise<Answer> => checkByEnvoy(site.paths.grpcSocket('hmi-1'), question);
  const enforces = (version: number): Promise<unknown> =>
    until(`version ${version} is enforced`, async () => (await site.status('hmi-1')).version === version);

  await enforces(1);
  await until('the first use, once the states are there', async () => (await ask()).allow);
  assert.equal((await ask()).allow, true);
  await site.stop('hmi-1', 'SIGKILL');
  await site.startEdge('hmi-1');
  await until('the last use', async () => (await ask()).allow);
  const refused = await ask();
  assert.deepEqual([refused.allow, refused.status, refused.rule], [false, 403, 'grant:gateway-views-hmi']);
  await site.stop('hmi-1');
  await site.startEdge('hmi-1');
  await enforces(1);

  site.editFile('grants/cell.yaml', grants('    uses: 3\n'));
  await site.commit('the same limit, no obligation');
  await site.publish();
  await enforces(2);
  assert.equal((await ask()).allow, false);

  site.editFile('grants/cell.yaml', grants('    uses: 1\n'));
  await site.commit('another limit');
  await site.publish();
  await enforces(3);
  assert.deepEqual([(await ask()).allow, (await ask()).allow], [true, false]);

  const events = await until('the evidence is in the log of the cloud', async () => {
    const found = await site.events({ device: 'hmi-1', kind: 'authz' });
    return found.some(({ data }) => data['condition'] === 'uses 1') && found;
  });
  const allowed = events.filter(({ data }) => data['decision'] === 'allow');
  assert.deepEqual(
    allowed.map(({ data }) => data['obligations']),
    ['log', 'log', 'log', undefined],
  );
  const denied = events.find(({ data }) => data['condition'] === 'uses 3');
  assert.deepEqual([denied?.activity, denied?.data['reason']], ['deny', 'condition']);
});
