// What of a plan is on the disk for the next start, and that it can be read there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { MAX_ELEMENT_COMMENT, MAX_SET_ELEMENTS } from './limits.ts';
import type { FirewallPlan } from './plan.ts';
import { readSaved, save } from './saved.ts';
import { tableOf } from './table.ts';

const { plan } = readGolden('plc-cell.txt');

async function disk() {
  const files = new SimulatedFiles();
  await files.mkdir('/state');
  const refused: unknown[] = [];
  const parts = {
    fs: files,
    directory: '/state',
    log: createLogger({ name: 'test', level: 'silent' }),
    emit: (event: unknown) => Promise.resolve(void refused.push(event)),
    control: () => plan.control,
  };
  return { files, parts, refused };
}

test('of a plan that was never confirmed its denies are saved, and nothing that it opens', async () => {
  const { parts } = await disk();
  const never: FirewallPlan = { ...plan, bundle: 7 };
  assert.ok(plan.denies.chains.length > 0 && plan.generation.sets.length > 0);
  await save(parts, { live: plan, closing: [never] });
  const saved = await readSaved(parts);
  const [closing] = saved?.closing ?? [];
  assert.ok(closing !== undefined);
  const { denies, generation, base, peers, bundle } = closing;
  assert.deepEqual({ denies, bundle }, { denies: plan.denies, bundle: 7 });
  assert.deepEqual({ generation, base, peers }, { generation: { sets: [], chains: [] }, base: [], peers: {} });
  assert.deepEqual(saved?.live, plan);
  // The table is the one that the whole plan would have made.
  const tables = [closing, never].map((one) => tableOf({ live: { plan, slot: 1 }, closing: [{ plan: one, slot: 2 }] }));
  assert.deepEqual(tables[0], tables[1]);
});

test('a plan of several full sets is read again as it was saved', async () => {
  const { files, parts, refused } = await disk();
  const full = (name: string, network: number) => ({
    name,
    type: ['ipv4_addr' as const],
    interval: false,
    timeout: false,
    purpose: '',
    elements: Array.from({ length: MAX_SET_ELEMENTS }, (_, at) => ({
      key: [`${network}.${at >> 16}.${(at >> 8) & 255}.${at & 255}`],
      comment: 'g'.repeat(MAX_ELEMENT_COMMENT),
    })),
  });
  const { sets, chains } = plan.generation;
  const large: FirewallPlan = {
    ...plan,
    generation: { sets: [...sets, full('a', 10), full('b', 11), full('c', 12)], chains },
  };
  await save(parts, { live: large, closing: [] });
  assert.ok(((await files.stat('/state/firewall.json'))?.size ?? 0) > 32 * 1024 * 1024);
  const saved = await readSaved(parts);
  assert.deepEqual(refused, []);
  // What differs of so much is not told: telling takes minutes.
  assert.ok(isDeepStrictEqual(saved?.live, large));
});
