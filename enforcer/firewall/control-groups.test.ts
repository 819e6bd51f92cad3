// What a saved plan says of control groups after they are gone. Real groups: test/firewall/workloads-cgroup.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { groupInode } from './control-groups.ts';
import type { FirewallPlan, Ruleset } from './plan.ts';
import { readSaved, save } from './saved.ts';

test('a saved plan comes back without groups that are no longer what they were, and with everything else', async () => {
  const { plan } = readGolden('plc-cell.txt');
  const group = (...keys: string[]): Ruleset['sets'][number] => ({
    name: 'cgroup_c0',
    type: ['cgroupsv2'],
    interval: false,
    timeout: false,
    purpose: 'control group',
    elements: keys.map((key) => ({ key: [key] })),
  });
  const withSet = (set: Ruleset['sets'][number]): FirewallPlan => ({
    ...plan,
    denies: { ...plan.denies, sets: [...plan.denies.sets, set] },
    generation: { ...plan.generation, sets: [...plan.generation.sets, set] },
  });
  const fs = new SimulatedFiles();
  await fs.mkdir('/state');
  const log = createLogger({ name: 'test', level: 'silent' });
  const parts = { fs, directory: '/state', log, emit: async () => undefined, control: () => plan.control };
  const gone = withSet(group('no.slice/such.service:4711'));
  await save(parts, { live: gone, closing: [gone] });
  const without = withSet(group());
  const saved = await readSaved(parts);
  assert.deepEqual(saved?.live, without);
  assert.deepEqual(saved.closing[0]?.denies, without.denies);
});

test('what is no control group of version 2 has no inode here', () => {
  assert.equal(groupInode('.', '/tmp'), undefined);
  assert.equal(groupInode('no.slice/such.service'), undefined);
});
