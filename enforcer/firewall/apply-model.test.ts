// Histories of plans, orders, refusals, deaths and clock changes against a kernel that honours its own timers. What an
// unreverted deny or containment closes is never accepted, by any layer of the table and at any time, unless a plan of the
// same or a newer bundle was confirmed; and the control plane is always reached.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { sliceSchema } from '../../policy/bundle/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { memoryKernel, type MemoryKernel } from '../../test/firewall/memory-kernel.ts';
import { compileFirewall } from './compile.ts';
import { createFirewall, type Firewall } from './firewall.ts';
import { judgeTable, type Packet } from './judge.ts';
import type { Containment, FirewallPlan, Ruleset } from './plan.ts';
import { stateOf, tableOf, tableOfPlan } from './table.ts';

const { input } = readGolden('plc-cell.txt');
const start = 1_800_000_000_000;
const slice = sliceSchema.parse(input.slice);
const endless: Slice = { ...slice, grants: slice.grants.map((grant) => withoutEnd(grant)) };

function withoutEnd<T extends { readonly until?: unknown }>(it: T): Omit<T, 'until'> {
  const { until: _, ...rest } = it;
  return rest;
}

/** Address and MAC of those who ask; the last is in no inventory. */
const askers: Readonly<Record<string, { readonly address: string; readonly mac: string; readonly device: string }>> = {
  gateway: { address: '10.20.0.3', mac: '02:00:00:00:00:03', device: 'gateway-1' },
  historian: { address: '10.20.0.4', mac: '02:00:00:00:00:44', device: 'historian' },
  camera: { address: '10.20.0.5', mac: '02:00:00:00:00:05', device: 'camera-1' },
  tablet: { address: '10.20.0.9', mac: '02:00:00:00:00:09', device: '' },
};
type Asker = string;
const devices = ['gateway-1', 'historian', 'camera-1'] as const;

const deny = (peer: string): Slice['firewall'][number] => ({
  id: 'no-page',
  tier: 'admin',
  priority: 400,
  verdict: 'deny',
  direction: 'in',
  transport: 'tcp',
  peers: [peer],
  ports: [443, 443],
  place: 'firewall/x.yaml:1',
});
const tablet: Slice['firewall'][number] = { ...deny('10.20.0.9/32'), id: 'tablet', verdict: 'allow' };

/** What a bundle may say. */
const contents: readonly Slice[] = [
  endless,
  { ...endless, firewall: [...endless.firewall, tablet] },
  { ...endless, firewall: [...endless.firewall, deny('10.20.0.3/32')] },
  { ...endless, firewall: [...endless.firewall, deny('10.20.0.4/32'), tablet] },
  {
    ...endless,
    denies: [
      {
        id: 'not-she',
        subjects: ['historian'],
        interface: 'plc-status',
        device: 'plc-1',
        operations: [],
        place: 'grants/d.yaml:1',
      },
    ],
  },
  {
    ...endless,
    devices: endless.devices.filter(({ id }) => id !== 'historian'),
    grants: endless.grants.map((grant) => ({ ...grant, subjects: grant.subjects.filter((id) => id !== 'historian') })),
  },
];

type States = Record<string, 'trusted' | Containment>;
const compiled = (content: number, bundle: number, epoch: number, sequence: number, now: number, states: States) =>
  compileFirewall(
    contents[content],
    { epoch, now, bundle, ordersSequence: sequence, states: { 'plc-1': 'trusted', ...states } },
    input.host,
  );

/** A table that lets all of them in, and who is kept out by the denies of a plan beside it. */
const everyone = contents.map((_, content) => {
  const states: States = { 'gateway-1': 'trusted', historian: 'trusted', 'camera-1': 'trusted' };
  const open = compiled(1, 1, 1, 0, start, states);
  const closing = compiled(content, 1, 2, 0, start, states);
  const table = tableOf({ ...stateOf(open), closing: [{ plan: closing, slot: 9 }] });
  return Object.keys(askers).filter((asker) => passes(tableOfPlan(open), asker, start) && !passes(table, asker, start));
});

/** New requests, and packets of flows that were admitted. */
function packets(asker: Asker, marks: readonly number[]): Packet[] {
  const { address, mac } = askers[asker]!;
  const request = {
    way: 'in',
    source: address,
    destination: '10.20.0.2',
    protocol: 'tcp',
    sport: 40_000,
    dport: 443,
    inInterface: 'eth0',
    mac,
  } as const;
  return [
    { ...request, state: 'new', direction: 'original' },
    ...marks.map((connectionMark): Packet => ({
      ...request,
      state: 'established',
      direction: 'original',
      connectionMark,
    })),
  ];
}

/** Marks that flows of the asker got when they were admitted; each may have slept since. */
function passes(table: Ruleset, asker: Asker, now: number, marks = new Set<number>()): boolean {
  const verdicts = packets(asker, [...marks]).map((packet) => judgeTable(table, packet, now));
  const accepted = verdicts.filter(({ verdict }) => verdict === 'accept');
  for (const { connectionMark } of accepted) marks.add(connectionMark);
  return accepted.length > 0;
}

const controlRequest: Packet = {
  way: 'out',
  source: '10.20.0.2',
  destination: '10.20.0.1',
  protocol: 'tcp',
  sport: 40_000,
  dport: 8443,
  outInterface: 'eth0',
  state: 'new',
  direction: 'original',
};

type Step =
  | {
      readonly kind: 'plan';
      readonly content: number;
      readonly same: boolean;
      readonly stale: boolean;
      readonly proof: Proof;
      readonly during: readonly Small[];
      readonly fault: Fault;
    }
  | Small
  | { readonly kind: 'repair' }
  | { readonly kind: 'kill'; readonly waitMs: number };
type Small =
  | { readonly kind: 'contain'; readonly device: string; readonly how: Containment }
  | { readonly kind: 'release'; readonly device: string }
  | { readonly kind: 'island'; readonly on: boolean }
  | { readonly kind: 'block'; readonly address: string }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'set-clock'; readonly byMs: number };
type Proof = 'reached' | 'not reached' | 'too late';
/**
 * At the n-th operation on the kernel from now, and at so many in a row: it fails, or what it did is not told, or the process
 * is dead afterwards.
 */
type Fault =
  | undefined
  | { readonly what: 'fail' | 'silent' | 'kill before' | 'kill after'; readonly at: number; readonly times: number };

const device = fc.constantFrom(...devices);
const small = fc.oneof(
  fc.record({
    kind: fc.constant('contain' as const),
    device,
    how: fc.constantFrom<Containment>('revoked', 'quarantined'),
  }),
  fc.record({ kind: fc.constant('release' as const), device }),
  fc.record({ kind: fc.constant('island' as const), on: fc.boolean() }),
  fc.record({ kind: fc.constant('block' as const), address: fc.constantFrom('10.20.0.3', '10.20.0.9') }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 5_000, 11_000) }),
  fc.record({ kind: fc.constant('set-clock' as const), byMs: fc.constantFrom(4_000, 3_600_000) }),
);
const fault = fc.option(
  fc.record({
    what: fc.constantFrom('fail' as const, 'silent' as const, 'kill before' as const, 'kill after' as const),
    at: fc.integer({ min: 1, max: 6 }),
    times: fc.integer({ min: 1, max: 6 }),
  }),
  { nil: undefined },
);
const plan = fc.record({
  kind: fc.constant('plan' as const),
  content: fc.integer({ min: 0, max: contents.length - 1 }),
  same: fc.boolean(),
  stale: fc.boolean(),
  proof: fc.constantFrom<Proof>('reached', 'reached', 'not reached', 'too late'),
  during: fc.array(small, { maxLength: 2 }),
  fault,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: plan },
  { weight: 3, arbitrary: small },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('repair' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), waitMs: fc.constantFrom(0, 5_000, 20_000) }),
  },
);

class Dead extends Error {}

const isDone = (): boolean => true;
const isNotDone = (): boolean => false;

class World {
  readonly clock = new FakeClock(start);
  control = input.host.controlEndpoints;
  readonly kernel: MemoryKernel;
  files = new SimulatedFiles();
  firewall!: Firewall;
  /** What is closed by the denies of bundles, those that nobody confirmed among them. */
  closed: { readonly bundle: number; readonly askers: readonly Asker[] }[] = [];
  contained = new Map<string, Containment>();
  island = false;
  readonly blocked = new Map<string, number>();
  /** Bundle and content that were confirmed last, and the newest that was tried. */
  active: { bundle: number; content: number } | undefined;
  newest = 0;
  sequence = 0;
  readonly #flows = new Map(Object.keys(askers).map((asker) => [asker, new Set<number>()]));
  /** A plan is on its way: what gives way to it may be gone before that is told. */
  #moving: { readonly bundle: number; readonly isProven: boolean } | undefined;
  #instance = 0;
  #fault: { what: NonNullable<Fault>['what']; left: number; times: number } | undefined;
  #disk: SimulatedFiles | undefined;
  #proof: () => Promise<boolean> = () => Promise.resolve(true);
  #asked = false;
  /** Whoever gave the answer, it was asked for. */
  #isProven = false;

  constructor() {
    this.kernel = memoryKernel(
      () => this.clock.monotonic(),
      () => this.clock.now(),
      { before: (what) => this.#meet('before', what), after: (what) => this.#meet('after', what) },
    );
  }

  /** The time that signed messages tell. */
  trusted(): number {
    return start + this.clock.monotonic();
  }

  async begin(): Promise<void> {
    await this.files.mkdir('/state');
    this.#start();
    await this.firewall.island({ on: false });
    await this.firewall.restore(
      compileFirewall(undefined, { ...input.state, epoch: this.firewall.nextEpoch(), now: start }, input.host),
    );
    this.#toldTime = true;
    this.check('after the first start');
  }

  #toldTime = false;

  #start(): void {
    this.#toldTime = false;
    this.#instance += 1;
    const instance = this.#instance;
    const alive = <T>(work: () => Promise<T>): Promise<T> =>
      instance === this.#instance ? work() : Promise.reject(new Dead('dead'));
    const { kernel } = this;
    this.firewall = createFirewall({
      run: () => Promise.resolve({ code: 0, stdout: '', stderr: '' }),
      kernel: {
        ...kernel,
        replace: (table, now) => alive(() => kernel.replace(table, now)),
        change: (change, now) => alive(() => kernel.change(change, now)),
        read: () => alive(() => kernel.read()),
      },
      fs: this.files,
      directory: '/state',
      clock: this.clock,
      // The first rules come before anybody has told the time.
      trustedNow: () => (this.#toldTime ? this.trusted() : this.clock.now()),
      log: createLogger({ name: 'test', level: 'silent' }),
      emit: () => Promise.resolve(),
      control: () => this.control,
      confirm: () =>
        Promise.resolve(() => {
          this.#isProven = true;
          return this.#proof();
        }),
      closeStreams: () => 0,
      flows: { end: () => Promise.resolve({ flows: 0, sockets: 0, failures: [] }), seen: () => Promise.resolve([]) },
    });
  }

  #meet(when: 'before' | 'after', what: 'write' | 'read'): void {
    if (when === 'after' && what === 'write') this.check('after a transaction');
    const planned = this.#fault;
    if (planned === undefined) return;
    if (when === 'before') planned.left -= 1;
    if (planned.left > 0) return;
    if (planned.what === 'fail' && when === 'before') {
      this.#failed(planned);
      throw new Dead('failed');
    }
    if (planned.what === 'silent' && when === 'after') {
      this.#failed(planned);
      throw new Dead('done, and not told');
    }
    if (planned.what === `kill ${when}`) {
      this.#fault = undefined;
      this.#die();
      throw new Dead('killed');
    }
  }

  #failed(planned: { times: number }): void {
    planned.times -= 1;
    if (planned.times === 0) this.#fault = undefined;
  }

  #die(): void {
    this.#disk ??= this.files.restart();
    this.#instance += 1;
  }

  get isDead(): boolean {
    return this.#disk !== undefined;
  }

  /** Whoever runs the edge again, as bin/ does: island mode, rules of the disk, orders, the bundle in force. */
  async restart(): Promise<void> {
    this.#fault = undefined;
    this.#moving = undefined;
    this.#die();
    this.files = this.#disk ?? this.files;
    this.#disk = undefined;
    this.#start();
    await this.firewall.island({ on: this.island });
    const state = { epoch: this.firewall.nextEpoch(), now: this.clock.now(), ordersSequence: 0, states: {} };
    const host = { ...input.host, controlEndpoints: this.control };
    await this.firewall.restore(compileFirewall(undefined, state, host));
    this.#toldTime = true;
    this.check('after a start');
    await this.firewall.block(this.blocked, []);
    for (const [id, containment] of this.contained) {
      await this.firewall.contain({ device: id, containment, sequence: this.sequence });
    }
    this.check('after a start with orders');
    if (this.active !== undefined) {
      this.#proof = () => Promise.resolve(true);
      await this.#apply(this.active, this.#compile(this.active)).catch(() => undefined);
    }
  }

  #compile({ bundle, content }: { bundle: number; content: number }): FirewallPlan {
    const states: States = Object.fromEntries(devices.map((id) => [id, this.contained.get(id) ?? 'trusted']));
    return compiled(content, bundle, this.firewall.nextEpoch(), this.sequence, this.trusted(), states);
  }

  async #apply(source: { bundle: number; content: number }, made: FirewallPlan): Promise<void> {
    this.#asked = false;
    this.#isProven = false;
    this.#moving = { bundle: source.bundle, isProven: false };
    const entry = { bundle: source.bundle, askers: everyone[source.content] ?? [] };
    const kept = this.#unconfirmed();
    try {
      await this.firewall.apply(made, this.heard.get(made));
      const lost = [...kept].filter((denies) => !this.#unconfirmed().has(denies));
      if (!this.#isProven && lost.length > 0)
        this.finding ??= new Error('kept denies gave way to a plan without a proof');
      this.closed = [...this.closed.filter(({ bundle }) => bundle > source.bundle), entry];
      this.active = source;
    } catch (error) {
      if (this.#asked) this.closed.push(entry);
      throw error;
    } finally {
      // The watch looks every few seconds, and at once when somebody writes.
      if (!this.isDead) {
        while (!(await this.firewall.repair().then(isDone, isNotDone)) && !this.isDead);
        this.#moving = undefined;
      }
    }
  }

  /** Denies that nobody confirmed. */
  #unconfirmed(): Set<string> {
    const { candidate, closing = [] } = this.firewall.state() ?? {};
    const layers = candidate === undefined ? closing : [...closing, candidate];
    return new Set(layers.map(({ plan: { denies } }) => JSON.stringify(denies)));
  }

  readonly heard = new WeakMap<FirewallPlan, number>();

  async take(what: Step): Promise<void> {
    if (what.kind === 'plan') await this.#plan(what);
    else if (what.kind === 'repair') await this.firewall.repair().catch(() => undefined);
    else if (what.kind === 'kill') {
      this.#die();
      await this.pass(what.waitMs);
    } else await this.#small(what);
    if (this.isDead) {
      await this.pass(12_000);
      await this.restart();
    }
    this.check(`after ${what.kind}`);
  }

  async #plan({ content, same, stale, proof, during, fault: planned }: Extract<Step, { kind: 'plan' }>): Promise<void> {
    const source = same && this.active !== undefined ? this.active : { bundle: this.newest + 1, content };
    this.newest = Math.max(this.newest, source.bundle);
    const made = this.#compile(source);
    this.heard.set(made, this.firewall.heard());
    if (stale) for (const one of during) await this.#small(one);
    this.#proof = async () => {
      this.#asked = true;
      const entry = { bundle: source.bundle, askers: everyone[source.content] ?? [] };
      this.closed.push(entry);
      this.check('while it is a candidate');
      if (!stale) for (const one of during) await this.#small(one);
      if (proof === 'too late') await this.pass(12_000);
      if (proof === 'reached' && this.#moving !== undefined) this.#moving = { bundle: source.bundle, isProven: true };
      return proof !== 'not reached';
    };
    this.#fault = planned === undefined ? undefined : { what: planned.what, left: planned.at, times: planned.times };
    await this.#apply(source, made).catch((error: unknown) => {
      if (error instanceof assert.AssertionError) throw error;
    });
    this.#fault = undefined;
  }

  async #small(what: Small): Promise<void> {
    try {
      switch (what.kind) {
        case 'contain':
          // As bin/ gives them: the number counts when the order is in force.
          await this.firewall.contain({ device: what.device, containment: what.how, sequence: this.sequence });
          this.contained.set(what.device, what.how);
          this.sequence += 1;
          break;
        case 'release':
          this.contained.delete(what.device);
          await this.firewall.contain({ device: what.device, containment: undefined, sequence: this.sequence });
          this.sequence += 1;
          break;
        case 'island':
          if (!what.on) this.island = false;
          await this.firewall.island({ on: what.on });
          this.island = what.on;
          break;
        case 'block': {
          const until = this.trusted() + 600_000;
          await this.firewall.block(new Map(this.blocked).set(what.address, until), []);
          this.blocked.set(what.address, until);
          break;
        }
        case 'wait':
          await this.pass(what.ms);
          break;
        case 'set-clock':
          this.clock.set(this.clock.now() + what.byMs);
          break;
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    }
  }

  /** Looked at whenever something may have ended. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2_500) {
      await this.clock.advance(Math.min(left, 2_500));
      this.check('as time passes');
    }
  }

  /** The first finding; what it is thrown through may take it for a refusal. */
  finding: Error | undefined;

  check(when: string): void {
    try {
      this.#look(when);
    } catch (error) {
      this.finding ??= error as Error;
      throw error;
    }
  }

  #givesWay(bundle: number): boolean {
    if (this.#moving === undefined || bundle >= this.#moving.bundle) return false;
    // Elements of the plan in force change without a proof, unless denies of another were kept.
    return this.#moving.isProven || (bundle === this.active?.bundle && !this.#asked);
  }

  #look(when: string): void {
    const table = this.kernel.table();
    if (table === undefined) return;
    const now = this.clock.monotonic();
    const accepted = Object.keys(askers).filter((asker) => passes(table, asker, now, this.#flows.get(asker)));
    for (const asker of accepted) {
      const { device: id, address } = askers[asker]!;
      const by = this.closed.find((entry) => entry.askers.includes(asker) && !this.#givesWay(entry.bundle));
      assert.equal(by, undefined, `${when}: ${asker} passes, though bundle ${by?.bundle} denies it`);
      assert.equal(this.contained.get(id), undefined, `${when}: ${asker} passes, though contained`);
      assert.equal(this.island, false, `${when}: ${asker} passes, though island mode is on`);
      const until = this.blocked.get(address) ?? 0;
      assert.ok(until <= this.trusted() + 1_000, `${when}: ${asker} passes, though blocked`);
    }
    if (this.control !== input.host.controlEndpoints) return;
    assert.equal(judgeTable(table, controlRequest, now).verdict, 'accept', `${when}: the control plane is cut off`);
  }
}

test('no history of plans, orders, refusals, deaths and clocks opens what was closed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const world = new World();
      await world.begin();
      for (const one of steps) {
        await world.take(one).catch((error: unknown) => {
          throw world.finding ?? error;
        });
        if (world.finding !== undefined) throw world.finding;
      }
    }),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 150) },
  );
});

test('bundles that nobody can confirm keep no newer one out, and stay closed where the control plane moved', async () => {
  const world = new World();
  await world.begin();
  const tried = (content: number, proof: Proof, same = false): Step => ({
    kind: 'plan',
    content,
    same,
    stale: false,
    proof,
    during: [],
    fault: undefined,
  });
  await world.take(tried(1, 'reached'));
  for (let round = 0; round < 12; round += 1) await world.take(tried(2 + (round % 3), 'not reached'));
  assert.ok((world.firewall.state()?.closing.length ?? 0) >= 3);
  world.control = [{ address: '10.20.0.7', port: 8443, transport: 'tcp' }];
  await world.take({ kind: 'kill', waitMs: 0 });
  world.control = input.host.controlEndpoints;
  assert.ok((world.firewall.state()?.closing.length ?? 0) >= 3, 'also after a start with another control plane');
  await world.take(tried(0, 'reached'));
  assert.deepEqual([world.active?.content, world.firewall.state()?.closing], [0, []]);
  if (world.finding !== undefined) throw world.finding;
});

test('a clock that is set ahead does not end island mode early', async () => {
  const world = new World();
  await world.begin();
  const ends = (): number[] =>
    (world.kernel.table()?.sets.find(({ name }) => name === 'island')?.elements ?? []).map(
      ({ until = Infinity }) => until,
    );
  await world.firewall.island({ on: true, leaseMs: 60_000 });
  const before = ends();
  world.clock.set(world.clock.now() + 3_600_000);
  assert.equal(await world.firewall.repair(), undefined);
  assert.deepEqual([before.length, ends()], [2, before]);
});

test('time told after a start with a clock that was ahead ends no block early', async () => {
  const world = new World();
  await world.begin();
  await world.take({ kind: 'set-clock', byMs: 3_600_000 });
  await world.take({ kind: 'kill', waitMs: 0 });
  await world.take({ kind: 'block', address: '10.20.0.3' });
  await world.take({ kind: 'repair' });
  const blocked = world.kernel.table()?.sets.find(({ name }) => name === 'blocked4')?.elements;
  assert.deepEqual(
    blocked?.map(({ key }) => key),
    [['10.20.0.3']],
  );
});
