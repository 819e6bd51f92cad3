// What examples/envoy/README.md says of the listener for proxies on other hosts: closed by default, and the policy written there
// opens its port to the proxy's device and to nobody else.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { openingsOf } from '../../enforcer/firewall/openings.ts';
import { buildSlices, loadRepository } from '../../policy/repository/index.ts';
import { sampleFiles, sampleNow, treeOf } from '../../policy/repository/sample-tree.ts';

const readme = readFileSync(join(import.meta.dirname, '../../examples/envoy/README.md'), 'utf8');
const written = parse(/```yaml\n([^]*?)```/.exec(readme)?.[1] ?? '') as Record<'interfaces' | 'grants', object[]>;

/** Paths to port 9443 of plc-1 and from gateway-1, with these files added to the sample's. */
function openTo(files: Readonly<Record<string, object>>) {
  const texts = Object.entries(files).map(([name, value]) => [
    name,
    JSON.stringify(value).replaceAll('edge-1', 'plc-1'),
  ]);
  const { repository, problems } = loadRepository(treeOf({ ...sampleFiles, ...Object.fromEntries(texts) }), sampleNow);
  assert.ok(repository, problems.map(({ message }) => message).join('\n'));
  const slices = buildSlices(repository);
  const states = Object.fromEntries([...slices.keys()].map((id) => [id, 'trusted' as const]));
  const state = { epoch: 1, now: sampleNow, ordersSequence: 0, states };
  const of = (device: string, side: 'served' | 'reached') => {
    const slice = slices.get(device);
    assert.ok(slice);
    const openings = openingsOf(slice, state)[side];
    return openings.filter(({ port }) => port === 9443).map(({ peer, transport }) => `${transport} ${peer}`);
  };
  return { served: of('plc-1', 'served'), reached: of('gateway-1', 'reached') };
}

test('the port is closed until the policy of the README opens it, to the device that it names', () => {
  const { interfaces, grants } = written;
  assert.deepEqual(openTo({}), { served: [], reached: [] });
  assert.deepEqual(openTo({ 'interfaces/authz.yaml': { interfaces } }), { served: [], reached: [] });
  assert.deepEqual(openTo({ 'interfaces/authz.yaml': { interfaces }, 'grants/authz.yaml': { grants } }), {
    served: ['tcp gateway-1'],
    reached: ['tcp plc-1'],
  });
});
