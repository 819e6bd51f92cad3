// Whoever changes the table is told by name, and the change is undone, whatever field it is. The table is that of the cell;
// the changes are made by nft in its namespace.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { FirewallParts } from '../../enforcer/firewall/index.ts';
import { requires } from '../support/capabilities.ts';
import { firewallOn, grant, openCell, planWith, sliceWith } from './cell.ts';
import type { Cell, TestFirewall } from './cell.ts';
import { mutate, mutationKinds, readForMutation } from './mutations.ts';

const slice = sliceWith([
  grant('gateway', 'status'),
  grant('gateway', 'modbus'),
  { ...grant('historian', 'telemetry'), until: Math.floor(Date.now() / 1000) * 1000 + 3_600_000 },
]);

interface Watched extends AsyncDisposable {
  readonly cell: Cell;
  readonly firewall: TestFirewall;
  nft(text: string): Promise<number | undefined>;
}

async function openWatched(more: Partial<FirewallParts> = {}): Promise<Watched> {
  const cell = await openCell();
  const namespace = `/run/netns/${cell.namespaceOf('plc')}`;
  const firewall = await firewallOn(cell, 'plc', { namespace, ...more });
  const stop = new AbortController();
  await firewall.apply(planWith(slice));
  const watching = firewall.watch(stop.signal);
  return {
    cell,
    firewall,
    nft: async (text) => {
      const { code, stderr, pid } = await cell.exec('plc', ['nft', '-f', '-'], { input: text });
      assert.equal(code, 0, `${stderr}\n${text}`);
      return pid;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await watching;
      await firewall[Symbol.asyncDispose]();
      await cell[Symbol.asyncDispose]();
    },
  };
}

/** Waits for events that the watch makes by itself. */
async function eventually<T>(what: string, find: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let turn = 0; turn < 800; turn += 1) {
    const found = await find();
    if (found !== undefined) return found;
    await delay(10);
  }
  throw new Error(`${what} did not come`);
}

const sum = (events: readonly NewEvent[], field: 'count' | 'lost'): number =>
  events
    .filter((event) => event.activity === 'drift' || event.activity === 'touched')
    .reduce((total, event) => total + Number(event.data[field] ?? 0), 0);

test('a flipped verdict that keeps its comment is told with its author, and undone', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using watched = await openWatched();
  const { firewall, cell } = watched;
  const listed = await cell.exec('plc', ['nft', '-a', 'list', 'chain', 'inet', 'edgeward', 'revoked']);
  const handle = /log prefix "ew:revoked" group 5 drop # handle (\d+)/.exec(listed.stdout)?.[1];
  const pid = await watched.nft(
    `replace rule inet edgeward revoked handle ${handle} counter log prefix "ew:revoked" group 5 accept\n`,
  );
  const repaired = await eventually('the repair', () => firewall.events.find((event) => event.activity === 'repaired'));
  const drift = firewall.events.find((event) => event.activity === 'drift');
  assert.match(String(drift?.data['message']), /chain revoked, rule 2: ".*ew:revoked.*" instead of ".*"/);
  assert.equal(drift?.severity, 'critical');
  assert.equal(drift?.data['pid'], pid);
  assert.equal(drift?.data['process'], 'nft');
  assert.equal(drift?.data['count'], 1);
  assert.ok(Number(drift?.data['generation']) > 0);
  assert.deepEqual(drift?.data['values'], ['removed rule of revoked', 'added rule of revoked']);
  assert.ok(Number(repaired.data['elapsed_us']) > 0);
  assert.equal((await firewall.status()).drift, undefined);
  // What it does itself is nobody else's doing.
  const before = firewall.events.length;
  await firewall.apply(planWith(slice, { epoch: 2 }));
  await firewall.contain({ device: 'camera', containment: 'revoked', sequence: 1 });
  await delay(200);
  assert.deepEqual(
    firewall.events.slice(before).map((event) => event.activity),
    ['contain'],
  );
});

test('any single change of the table is noticed and undone', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using watched = await openWatched();
  const { firewall, cell } = watched;
  const list = async (...options: string[]): Promise<string> =>
    (await cell.exec('plc', ['nft', ...options, 'list', 'table', 'inet', 'edgeward'])).stdout;
  // Each loading gives what ends by itself its time anew.
  const content = async (): Promise<string> => (await list('-s')).replaceAll(/timeout (?!21h)\w+/g, 'timeout');
  const pristine = await content();
  let mutations = 0;
  const late: string[] = [];
  const made = new Map<string, number>();
  const attempt = async (kind: string, seed: number): Promise<void> => {
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state / 2 ** 32;
    };
    const mutation = mutate(kind, readForMutation(await list('-j'), await list('-a', '-s')), random);
    if (mutation === undefined) return;
    await watched.nft(mutation.text);
    const [before, at] = [mutations, performance.now()];
    mutations += 1;
    await eventually(`the repair of ${kind}:\n${mutation.text}`, async () =>
      (await content()) === pristine ? true : undefined,
    );
    // Not by the look that comes every few seconds.
    if (performance.now() - at > 4_000) late.push(`${before} ${kind}`);
    made.set(kind, (made.get(kind) ?? 0) + 1);
  };
  for (const kind of mutationKinds) await attempt(kind, 1);
  const runs = Number(process.env['RUNS'] ?? 10);
  await fc.assert(fc.asyncProperty(fc.constantFrom(...mutationKinds), fc.integer({ min: 1 }), attempt), {
    numRuns: runs,
    endOnFailure: true,
  });
  assert.deepEqual(
    [...mutationKinds].filter((kind) => !made.has(kind)),
    [],
  );
  assert.ok(late.length <= mutations / 20, late.join('\n'));
  // Events of a flood wait for their turn; none of the commits is forgotten.
  await eventually('the last event', () => (sum(firewall.events, 'count') === mutations ? true : undefined));
  assert.equal(sum(firewall.events, 'lost'), 0);
});

test('what others write in a loop is coalesced: the loop goes on turning, and every commit is counted', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using watched = await openWatched();
  const { firewall, cell } = watched;
  const commits = 3_000;
  // One program, one transaction a line, as fast as it can: into our table and into its own.
  const line = (at: number): string =>
    at % 2 === 0 ? `add element inet edgeward revoked4 { 10.98.${at >> 8}.${at & 255} }` : 'add table inet somebody';
  const script = Array.from({ length: commits * 2 }, (_, at) => line(at)).join('\n');
  let longest = 0;
  let last = performance.now();
  const turning = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const { code, stderr } = await cell.exec('plc', ['nft', '-i'], { input: `${script}\nquit\n` });
  clearInterval(turning);
  assert.equal(code, 0, stderr);
  const counted = (): number => sum(firewall.events, 'count') + sum(firewall.events, 'lost');
  await eventually('all commits', () => (counted() >= commits ? true : undefined));
  assert.equal(counted(), commits);
  assert.ok(firewall.events.length < 100, `${firewall.events.length} events`);
  // Generous, because the machine may be busy: starved it would be the whole run.
  assert.ok(longest < 2_000, `${longest} ms in one turn`);
  await eventually('the repair', async () => ((await firewall.status()).drift === undefined ? true : undefined));
});

test('blocked sources are kept when the table is repaired; those that others add or remove are undone', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  await using firewall = await firewallOn(cell, 'plc', { namespace: `/run/netns/${cell.namespaceOf('plc')}` });
  await firewall.apply(planWith(slice));
  const nft = (text: string) => cell.exec('plc', ['nft', text]);
  const blocked = async (): Promise<string[]> => {
    const { stdout } = await nft('list set inet edgeward blocked4');
    return [...stdout.matchAll(/10\.99\.0\.\d+/g)].map(([address]) => address).sort();
  };
  // Before anybody listens: as if packets had done it.
  await nft('add element inet edgeward blocked4 { 10.99.0.1 timeout 600s, 10.99.0.2 timeout 600s }');
  assert.equal(await firewall.repair(), undefined);
  const stop = new AbortController();
  const watching = firewall.watch(stop.signal);
  const undone = async (what: string): Promise<void> => {
    await eventually(what, async () => {
      const { drift } = await firewall.status();
      return drift === undefined && (await blocked()).join() === '10.99.0.1,10.99.0.2' ? true : undefined;
    });
  };
  for (const text of [
    'add element inet edgeward blocked4 { 10.99.0.3 timeout 600s }',
    'delete element inet edgeward blocked4 { 10.99.0.2 }',
    'flush set inet edgeward blocked4',
    'insert rule inet edgeward input accept',
    'delete table inet edgeward',
  ]) {
    assert.equal((await nft(text)).code, 0);
    await undone(text);
  }
  stop.abort();
  await watching;
  const messages = firewall.events
    .filter(({ activity }) => activity === 'drift')
    .map(({ data }) => String(data['message']));
  assert.match(messages[0] ?? '', /blocked4 has 10\.99\.0\.3, which no packet and no order added/);
  assert.match(messages[1] ?? '', /blocked4 lacks 10\.99\.0\.2, which others removed/);
});

test('what other tables do to our packets is told once, and again when it changes', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using watched = await openWatched();
  const { firewall } = watched;
  const base = (name: string, hook: string, priority: number, rules: string, policy = 'accept'): string =>
    `  chain ${name} {\n    type filter hook ${hook} priority ${priority}; policy ${policy};\n    ${rules}\n  }\n`;
  await watched.nft(
    'table ip filter {\n  chain user {\n    tcp dport 22 drop\n  }\n' +
      `${base('INPUT', 'input', 0, 'jump user')}${base('FORWARD', 'forward', 0, '', 'drop')}}\n` +
      `table inet raw {\n${base('pre', 'prerouting', -300, 'udp dport 53 notrack\n    meta mark set 0x7')}` +
      `${base('late', 'output', 10, 'ct mark set 0x7')}}\n` +
      'table ip nat {\n  chain PREROUTING {\n    type nat hook prerouting priority -100;\n    tcp dport 80 dnat to 10.20.0.9\n  }\n}\n' +
      `table ip quiet {\n${base('in', 'input', 5, 'counter accept')}}\n` +
      `table ip asleep {\n  flags dormant\n${base('in', 'input', 5, 'drop')}}\n`,
  );
  const expected = [
    'accepted by us, dropped by table ip filter chain FORWARD (forward, priority 0): policy drop',
    'accepted by us, dropped by table ip filter chain INPUT (input, priority 0)',
    'destination translated before us by table ip nat chain PREROUTING (prerouting, priority -100)',
    'packet mark set before us by table inet raw chain pre (prerouting, priority -300)',
    'taken away from connection tracking before us by table inet raw chain pre (prerouting, priority -300)',
  ];
  await eventually('the event', () => firewall.events.find(({ activity }) => activity === 'others'));
  assert.deepEqual((await firewall.status()).others, expected);
  await watched.nft('delete table ip filter\n');
  const second = await eventually(
    'the next event',
    () => firewall.events.filter(({ activity }) => activity === 'others')[1],
  );
  assert.deepEqual(
    second.data['values'],
    expected.slice(0, 2).map((line) => `no longer: ${line}`),
  );
  // Nothing of it is a change of our table.
  assert.deepEqual(
    firewall.events.map(({ activity }) => activity),
    ['others', 'others'],
  );
});
