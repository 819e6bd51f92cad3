// A full disk at the edge: what has to be remembered is denied, the rest goes on, and the loss is on record.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSite } from '../scenario/site.ts';
import { until } from '../support/until.ts';
import { connectEnvoy } from '../scenario/proxies.ts';
import { requires } from '../support/capabilities.ts';
import { mountSmallDisk } from './disk.ts';

/** A second door of the panel, whose every decision has to be on disk before it is answered. */
const durableDoor = `
  - name: hmi-safe
    device: hmi-1
    protocol: http
    port: 9443
    audit: { durable: true }
    operations:
      view: { methods: [GET], paths: [/status] }
`;
const grant = `
  - id: gateway-views-safe
    subjects: [gateway-1]
    interface: hmi-safe
    operations: [view]

denies:`;

test('a full spool denies where audit is durable, goes on elsewhere, and says how many events it dropped', async (t) => {
  if (!requires(t, 'root', 'tmpfs')) return;
  await using site = await createSite({
    policy: {
      'interfaces/hmi.yaml': (text) => `${text.trimEnd()}\n${durableDoor}`,
      'grants/cell.yaml': (text) => text.replace('\ndenies:', grant),
    },
  });
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await using disk = await mountSmallDisk(join(site.paths.state('hmi-1'), 'spool'), '1m');
  await site.startEdge('hmi-1');
  using envoy = connectEnvoy(site.paths.grpcSocket('hmi-1'));
  const chain = site.paths.chain('gateway-1');
  const durable = async () => await envoy.check({ interface: 'hmi-safe', path: '/status', chain });
  const other = async (path = '/status') => await envoy.check({ interface: 'hmi-web', path, chain });
  await until('both doors open', async () => (await durable()).allow && (await other()).allow);
  assert.equal((await site.status('hmi-1')).spool.state, 'writable');

  disk.fill();
  await until('the spool notices', async () => {
    await other('/status?unheard');
    return (await site.status('hmi-1')).spool.state === 'full';
  });
  for (let n = 0; n < 20; n += 1)
    assert.equal((await other(`/status?dropped=${n}`)).allow, true, 'an ordinary interface goes on');
  const refused = await durable();
  assert.deepEqual([refused.allow, refused.status], [false, 403], 'what cannot be remembered is not allowed');
  const { lost } = (await site.status('hmi-1')).spool;
  assert.ok(lost >= 20, `${lost} are counted as lost`);

  disk.empty();
  await until('the spool is writable again', async () => (await site.status('hmi-1')).spool.state === 'writable');
  await until('the durable door opens', async () => (await durable()).allow);
  const record = await until('the loss is in the log of the cloud', async () =>
    (await site.events({ device: 'hmi-1', kind: 'log' })).find(({ activity }) => activity === 'lost'),
  );
  const total = (await site.status('hmi-1')).spool.lost;
  assert.deepEqual(
    [record.severity, record.data['count'], record.data['total'], record.data['reason']],
    ['high', total, total, 'full'],
  );
  const events = await site.events({ device: 'hmi-1' });
  assert.deepEqual(
    events.map(({ sequence }) => sequence),
    events.map((_, index) => index + 1),
    'one chain, before and after',
  );
  assert.ok(
    !events.some(({ data }) => String(data['path']).includes('dropped=')),
    'what was dropped is not there, and told',
  );
});
