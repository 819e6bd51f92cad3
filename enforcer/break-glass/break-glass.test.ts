// An edge that people open: the clock, the disk, the power and the people do their worst.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { SliceBreakGlass } from '../../policy/bundle/index.ts';
import type { Freshness, SubjectState } from '../../policy/engine/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { silent, slice, stateDir } from '../../test/activation/world.ts';
import { anna, cleo, hour, profile, start, ticket } from '../../test/break-glass/people.ts';
import { type BreakGlass, openBreakGlass } from './break-glass.ts';
import { MAX_SPENT } from './limits.ts';
import { readSpent, type SpentTicket, writeSpent } from './spent-tickets.ts';

const minute = 60_000;

class World {
  fs: SimulatedFiles;
  boot = 1;
  uptime = 5_000;
  wall = start + hour;
  trusted = true;
  state: SubjectState = 'trusted';
  freshness: Freshness = 'fresh';
  profiles: SliceBreakGlass[] | undefined = [profile()];
  spoolFull = false;
  /** What an event waits for before it is on disk. */
  spoolWaits: Promise<void> = Promise.resolve();
  readonly events: NewEvent[] = [];
  glass!: BreakGlass;

  constructor(fs = new SimulatedFiles()) {
    this.fs = fs;
  }

  /** The process starts, again. */
  async start(): Promise<this> {
    this.glass = await openBreakGlass({
      fs: this.fs,
      stateDir,
      trustDomain: 'plant.example',
      deviceId: 'plc-1',
      clock: new FakeClock(start),
      boot: { id: `boot-${this.boot}`, uptimeMs: () => this.uptime },
      time: () => ({ now: this.wall, trusted: this.trusted }),
      policy: () =>
        this.profiles === undefined
          ? undefined
          : { slice: { ...slice('a'), breakGlass: this.profiles }, digest: 'ab', freshness: this.freshness },
      ownState: () => this.state,
      emit: async (event) => {
        if (this.spoolFull) throw new Error('full');
        await this.spoolWaits;
        this.events.push(event);
      },
      log: silent,
    });
    return this;
  }

  async reboot(): Promise<this> {
    Object.assign(this, { boot: this.boot + 1, uptime: 7, trusted: false });
    return await this.start();
  }

  pass(ms: number): void {
    this.uptime += ms;
    this.wall += ms;
  }

  /** `open`, or the code of the refusal. */
  async use(text: string): Promise<string> {
    try {
      await this.glass.use(text);
      return 'open';
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return error.code;
    }
  }

  /** One turn of the task. */
  async tick(): Promise<void> {
    const ending = new AbortController();
    const running = this.glass.task(ending.signal);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    ending.abort();
    await running.catch(() => undefined);
  }

  get open(): string[] {
    return this.glass.openings().map(({ rule }) => rule);
  }

  told(activity: string): NewEvent[] {
    return this.events.filter((event) => event.activity === activity);
  }
}

const world = async (): Promise<World> => await new World().start();

test('a ticket opens what it says for its minutes, after a critical event that is on disk', async () => {
  const place = await world();
  assert.equal(await place.use(await ticket({ ticket: 'a'.repeat(32) })), 'open');
  assert.deepEqual(place.glass.openings(), [
    {
      rule: `break-glass:stop-line/${'a'.repeat(32)}`,
      place: 'break-glass/line.yaml:2',
      subject: 'hmi-1',
      binding: 'svid',
      interface: 'web',
      device: 'plc-1',
      operations: ['write'],
      afterHardExpiry: false,
    },
  ]);
  const [event] = place.told('break-glass');
  assert.equal(event?.severity, 'critical');
  assert.deepEqual(event.data['by'], ['anna', 'ben', 'dora']);
  assert.equal(place.glass.status().open[0]?.secondsLeft, 20 * 60);
  place.pass(20 * minute - 1);
  assert.equal(place.open.length, 1);
  place.pass(1);
  assert.deepEqual(place.open, []);
  await place.tick();
  assert.deepEqual(
    place.told('break-glass-end').map(({ severity, data }) => [severity, data['reason']]),
    [['high', 'time']],
  );
  await place.tick();
  assert.equal(place.told('break-glass-end').length, 1);
});

test('a ticket opens once, and a quota is what it says until a new generation, over restarts and reboots', async () => {
  const place = await world();
  const first = await ticket();
  assert.equal(await place.use(first), 'open');
  assert.equal(await place.use(first), 'BREAK_GLASS_SPENT');
  await place.start();
  assert.equal(await place.use(first), 'BREAK_GLASS_SPENT');
  await place.reboot();
  assert.equal(await place.use(first), 'BREAK_GLASS_SPENT');
  assert.equal(await place.use(await ticket()), 'open');
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_QUOTA');
  await place.reboot();
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_QUOTA');
  place.profiles = [profile({ generation: 2 })];
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_SCOPE', 'approved for the generation before');
  assert.equal(await place.use(await ticket({ generation: 2 })), 'open');
  place.profiles = [profile({ generation: 1, uses: 3 })];
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_QUOTA', 'a generation that goes back gives nothing back');
});

test('tickets that come at the same time are taken one by one', async () => {
  const place = await world();
  const texts = [await ticket(), await ticket(), await ticket()];
  let release = (): void => undefined;
  place.spoolWaits = new Promise((resolve) => (release = resolve));
  const answers = [...texts, ...texts].map(async (text) => await place.use(text));
  // Time for all of them to get as far as they do before the first alarm is on disk.
  for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
  release();
  assert.deepEqual((await Promise.all(answers)).toSorted(), [
    'BREAK_GLASS_QUOTA',
    'BREAK_GLASS_QUOTA',
    'BREAK_GLASS_SPENT',
    'BREAK_GLASS_SPENT',
    'open',
    'open',
  ]);
});

test('an opening goes on over a restart of the process, and is over with the boot of the host', async () => {
  const place = await world();
  await place.use(await ticket());
  place.pass(5 * minute);
  await place.start();
  assert.equal(place.open.length, 1);
  place.pass(15 * minute);
  assert.deepEqual(place.open, []);
  await place.tick();
  await place.use(await ticket());
  await place.reboot();
  assert.deepEqual(place.open, []);
  await place.tick();
  assert.deepEqual(
    place.told('break-glass-end').map(({ data }) => data['reason']),
    ['time', 'reboot'],
  );
});

test('no clock that is set back prolongs an opening, and none brings back a ticket', async () => {
  const place = await world();
  await place.use(await ticket());
  place.pass(19 * minute);
  Object.assign(place, { trusted: false, wall: place.wall - 300 * minute });
  place.pass(minute);
  assert.deepEqual(place.open, []);
  await place.use(await ticket());
  assert.equal(place.open.length, 1);
  place.uptime -= 30 * minute;
  assert.deepEqual(place.open, [], 'an uptime that goes back is no uptime');
});

test('signed time that shows an opening to be late ends it', async () => {
  const place = await world();
  place.trusted = false;
  assert.equal(await place.use(await ticket()), 'open');
  Object.assign(place, { trusted: true, wall: start + 9 * hour });
  assert.deepEqual(place.open, []);
});

test('without good standing, without a bundle, or past hard expiry nothing is opened, and what is open ends', async () => {
  for (const state of [
    'unknown',
    'expected',
    'suspect',
    'quarantined',
    'recovering',
    'decommissioned',
    'revoked',
  ] as const) {
    const place = await world();
    await place.use(await ticket());
    place.state = state;
    assert.deepEqual(place.open, [], state);
    assert.equal(await place.use(await ticket()), 'BREAK_GLASS_CONTAINED', state);
    await place.tick();
    place.state = 'trusted';
    assert.deepEqual(place.open, [], 'what has ended stays ended');
  }
  const place = await world();
  place.profiles = undefined;
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_NO_BUNDLE');
  Object.assign(place, { profiles: [profile()], freshness: 'hard-expired' });
  assert.equal(await place.use(await ticket()), 'BREAK_GLASS_EXPIRED');
  place.profiles = [profile({ afterHardExpiry: true })];
  assert.equal(await place.use(await ticket()), 'open');
});

test('a bundle that allows less ends what it does not allow', async () => {
  const changes: Record<string, SliceBreakGlass[] | undefined> = {
    'no bundle': undefined,
    'no profile': [profile({ id: 'other' })],
    'another subject': [profile({ subjects: ['hmi-2'] })],
    'fewer operations': [profile({ operations: ['read'] })],
    'less time': [profile({ maxMinutes: 10 })],
    'an approver who left': [profile({ approvers: profile().approvers.filter(({ name }) => name !== 'ben') })],
    'an approver with another key': [profile({ approvers: [anna.approver, { ...cleo.approver, name: 'ben' }] })],
    'more approvals': [profile({ approvals: 3 })],
    'a new generation': [profile({ generation: 2 })],
    'another edge': [profile({ device: 'plc-2' })],
  };
  for (const [what, profiles] of Object.entries(changes)) {
    const place = await world();
    await place.use(await ticket());
    place.profiles = profiles;
    assert.deepEqual(place.open, [], what);
  }
  const place = await world();
  await place.use(await ticket());
  place.profiles = [profile({ approvers: [...profile().approvers, { ...cleo.approver, name: 'eve' }], uses: 9 })];
  assert.equal(place.open.length, 1, 'one that allows more');
});

test('what cannot be remembered is not opened, and can be used when there is room again', async () => {
  const place = await world();
  const text = await ticket();
  place.spoolFull = true;
  assert.equal(await place.use(text), 'BREAK_GLASS_NOT_RECORDED');
  assert.deepEqual(place.open, []);
  place.spoolFull = false;
  place.fs.setFreeBytes(0);
  assert.equal(await place.use(text), 'BREAK_GLASS_NOT_RECORDED');
  assert.deepEqual(place.open, []);
  place.fs.setFreeBytes(Infinity);
  assert.equal(await place.use(text), 'open');
});

test('power that is cut between the count and the opening leaves a ticket that is spent, and nothing open', async () => {
  const place = await world();
  const text = await ticket();
  place.fs.cutAt('break-glass-counted');
  await assert.rejects(async () => await place.glass.use(text));
  place.fs = place.fs.restart();
  await place.reboot();
  assert.deepEqual([await place.use(text), place.open], ['BREAK_GLASS_SPENT', []]);
  const unwritten = await ticket();
  place.fs.cutAt('written');
  await assert.rejects(async () => await place.glass.use(unwritten));
  place.fs = place.fs.restart();
  await place.reboot();
  assert.deepEqual(place.open, []);
  assert.equal(await place.use(unwritten), 'open', 'not counted, not spent');
});

test('every refusal is an event, a flood of them some', async () => {
  const place = await world();
  for (let index = 0; index < 30; index++) assert.equal(await place.use('garbage\n'), 'BREAK_GLASS_SIGNATURE');
  const told = place.told('break-glass-refuse');
  assert.deepEqual([told.length, told[0]?.severity, told[0]?.data['code']], [20, 'high', 'BREAK_GLASS_SIGNATURE']);
});

test('property: used tickets that decay on the disk are told apart, and no ticket is accepted then', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (bit) => {
      const place = await world();
      await place.use(await ticket());
      const path = `${stateDir}/break-glass.json`;
      const size = (await place.fs.stat(path))?.size ?? 0;
      place.fs.flipBit(path, bit % (size * 8));
      await place.start();
      assert.equal(await place.use(await ticket()), 'BREAK_GLASS_DAMAGED');
      assert.deepEqual([place.open, place.glass.status().damaged], [[], true]);
      assert.equal(place.told('break-glass-lost')[0]?.severity, 'critical');
    }),
    { numRuns: 60 },
  );
});

test('property: over power cuts, kills, full disks, clocks and replays a ticket opens once, in its time, within the quota', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant({ kind: 'use' as const }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('replay' as const), which: fc.nat() }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 25 * minute }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), after: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'counted' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'tick' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wall' as const), by: fc.integer({ min: -9, max: 9 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('full' as const), bytes: fc.nat({ max: 900 }) }) },
  );
  let opened = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat(), async (steps, seed) => {
      const place = await new World(new SimulatedFiles({ seed })).start();
      const texts: string[] = [];
      /** By rule: the boot and the uptime at which it may first have been open. */
      const since = new Map<string, { boot: number; uptime: number }>();
      const seen = new Set<string>();
      const accepted = new Set<string>();
      const use = async (index: number): Promise<void> => {
        const id = index.toString(16).padStart(32, '0');
        const rule = `break-glass:stop-line/${id}`;
        const { boot, uptime } = place;
        const text = (texts[index] ??= await ticket({ ticket: id, notAfter: start + 24 * hour }));
        const answer = await place.glass.use(text).then(
          () => 'open',
          () => 'refused',
        );
        if (answer === 'open') {
          assert.ok(!accepted.has(rule) && !seen.has(rule), 'a ticket that was open was accepted again');
          accepted.add(rule);
          opened++;
        }
        // Cut or killed after the count and before the answer, it is spent and may be open from then on.
        if (!seen.has(rule)) since.set(rule, { boot, uptime });
      };
      for (const one of steps) {
        if (one.kind === 'use') await use(texts.length);
        if (one.kind === 'replay' && texts.length > 0) await use(one.which % texts.length);
        if (one.kind === 'pass') place.pass(one.ms);
        if (one.kind === 'cut') place.fs.cutAfter(one.after);
        if (one.kind === 'counted') place.fs.cutAt('break-glass-counted');
        if (one.kind === 'kill' && !place.fs.cut) await place.start();
        if (one.kind === 'tick') await place.tick();
        if (one.kind === 'wall') place.wall += one.by * minute;
        if (one.kind === 'full') place.fs.setFreeBytes(one.bytes);
        if (place.fs.cut) {
          place.fs = place.fs.restart();
          place.fs.setFreeBytes(Infinity);
          await place.reboot();
          assert.deepEqual(place.open, [], 'nothing is open after a boot');
        }
        for (const rule of place.open) {
          seen.add(rule);
          const at = since.get(rule);
          assert.ok(at !== undefined && at.boot === place.boot, 'opened in this boot');
          assert.ok(place.uptime - at.uptime < 20 * minute, 'in its minutes');
          assert.ok(
            place.events.some(({ activity, data }) => activity === 'break-glass' && data['rule'] === rule),
            'after its alarm',
          );
        }
        assert.ok(seen.size <= profile().uses, `${seen.size} openings`);
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(opened > 100, String(opened));
});

test('what has ended stays closed, also when its end could not be recorded', async () => {
  for (const [spoil, mend] of [
    [(place: World) => void (place.state = 'quarantined'), (place: World) => void (place.state = 'trusted')],
    [(place: World) => void (place.profiles = []), (place: World) => void (place.profiles = [profile()])],
  ] as const) {
    const place = await world();
    assert.equal(await place.use(await ticket()), 'open');
    place.spoolFull = true;
    spoil(place);
    await place.tick();
    mend(place);
    assert.deepEqual(place.open, []);
    place.spoolFull = false;
    await place.tick();
    assert.equal(place.told('break-glass-end').length, 1);
    assert.deepEqual(place.open, []);
  }
});

const long = (n: number): string => `${n}`.padStart(64, 'a');
/** As many as are kept, each as large as it can be. */
const largest: SpentTicket[] = Array.from({ length: MAX_SPENT }, (_, n) => ({
  ticket: n.toString(16).padStart(32, 'f'),
  profile: 'stop-line',
  generation: 1,
  subject: long(0),
  operations: Array.from({ length: 64 }, (__, operation) => long(operation)),
  requestedBy: long(0),
  approvers: Array.from({ length: 16 }, (__, approver) => long(approver)),
  keys: Array.from({ length: 16 }, () => 'k'.repeat(43)),
  reason: '\u0001'.repeat(512),
  minutes: 60,
  notAfter: start,
  boot: 'b'.repeat(36),
  uptimeMs: 1.5,
  ended: true,
}));

test('the largest tickets there can be are read again, as many as are kept', async () => {
  const fs = new SimulatedFiles();
  await writeSpent(fs, stateDir, largest);
  assert.deepEqual(await readSpent(fs, stateDir), largest);
});

test('as many as are kept leave room for a new one once they are long over and of an earlier generation', async () => {
  const fs = new SimulatedFiles();
  await writeSpent(fs, stateDir, largest);
  const place = await new World(fs).start();
  place.profiles = [profile({ generation: 2 })];
  const next = await ticket({ generation: 2, notBefore: start + 8 * 24 * hour, notAfter: start + 9 * 24 * hour });
  place.wall = start + 6 * 24 * hour;
  assert.equal(await place.use(next), 'BREAK_GLASS_WHEN');
  place.wall = start + 8 * 24 * hour;
  assert.equal(await place.use(next), 'open');
});
