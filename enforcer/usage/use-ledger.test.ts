// Uses on disk: what was let through is never given back, whatever happens to process, power, disk and clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { UseLimit } from '../../policy/engine/index.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { silent, stateDir } from '../../test/activation/world.ts';
import { openUseLedger, type UseLedger } from './use-ledger.ts';

const words = { rate: '', uses: '', unavailable: '' };
const uses = (count: number): UseLimit => ({ uses: { key: `g@d/uses:${count}`, count }, words });
const rate = (count: number, perMs: number): UseLimit => ({
  rate: { key: `g@d/rate:${count}:${perMs}`, count, perMs },
  words,
});
const minute = 60_000;

/** One boot of a device: its counter since boot, and what trusted time says. */
interface World {
  fs: SimulatedFiles;
  elapsed: number;
  wall: number;
  trusted: boolean;
  readonly events: NewEvent[];
}
const world = (fs = new SimulatedFiles()): World => ({
  fs,
  elapsed: 0,
  wall: 1_800_000_000_000,
  trusted: true,
  events: [],
});
const pass = (of: World, ms: number): void => {
  of.elapsed += ms;
  of.wall += ms;
};

const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
};

const start = (of: World): Promise<UseLedger> =>
  openUseLedger({
    fs: of.fs,
    stateDir,
    clock: { monotonic: () => of.elapsed },
    time: () => ({ now: of.wall, trusted: of.trusted }),
    emit: async (event) => void of.events.push(event),
    log: silent,
  });

/** What one request gets: its answer, and `lost` when the use did not reach the disk. */
async function used(ledger: UseLedger, limit: UseLimit, subject = 'a'): Promise<string> {
  const claim = ledger.claim();
  const answer = claim.take(limit, subject, 0);
  return answer === 'taken' && (await claim.recorded()) === false ? 'lost' : answer;
}
const many = async (ledger: UseLedger, limit: UseLimit, count: number): Promise<string[]> => {
  const answers: string[] = [];
  for (let index = 0; index < count; index++) answers.push(await used(ledger, limit));
  return answers;
};

test('while the time is not trusted a request does not date again what was before the start', async () => {
  const place = world();
  for (let use = 0; use < 3; use++) await used(await start(place), rate(9, 100 * minute), `s${use}`);
  place.trusted = false;
  let count = 0;
  const ledger = await openUseLedger({
    fs: place.fs,
    stateDir,
    // Read once by a look, and once more by dating.
    clock: { monotonic: () => (count++, place.elapsed) },
    time: () => ({ now: place.wall, trusted: place.trusted }),
    emit: async () => undefined,
    log: silent,
  });
  const reads = (): number => {
    count = 0;
    ledger.claim().look(rate(9, 100 * minute), 'a', 0);
    return count;
  };
  const untrusted = [reads(), reads()];
  place.trusted = true;
  const [dating, after] = [reads(), reads()];
  assert.deepEqual([untrusted, dating > after], [[after, after], true]);
});

test('a look answers as a take would: what the request has taken is its own', async () => {
  const ledger = await start(world());
  const claim = ledger.claim();
  assert.deepEqual([claim.take(uses(1), 'a', 0), claim.look(uses(1), 'a', 0)], ['taken', 'taken']);
  assert.equal(ledger.claim().look(uses(1), 'a', 0), 'uses');
});

test('settled: what the request has taken is taken, nothing more can be', async () => {
  const claim = (await start(world())).claim();
  assert.equal(claim.settled.take(uses(1), 'a', 0), 'unavailable');
  assert.equal(claim.take(uses(1), 'a', 0), 'taken');
  assert.deepEqual(
    [claim.settled.take(uses(1), 'a', 0), claim.settled.take(uses(2), 'a', 0), claim.settled.take(uses(1), 'b', 0)],
    ['taken', 'unavailable', 'unavailable'],
  );
});

test('a use is taken once for a request, however often it is judged, and a look takes none', async () => {
  const ledger = await start(world());
  const [claim, next] = [ledger.claim(), ledger.claim()];
  assert.equal(claim.recorded(), undefined, 'nothing taken, nothing to wait for');
  assert.equal(ledger.claim().look(uses(1), 'a', 0), 'taken');
  assert.deepEqual([claim.take(uses(1), 'a', 0), claim.take(uses(1), 'a', 0)], ['taken', 'taken']);
  assert.equal(await claim.recorded(), true);
  assert.deepEqual([next.look(uses(1), 'a', 0), next.take(uses(1), 'a', 0)], ['uses', 'uses']);
  assert.equal(next.recorded(), undefined);
});

test('requests at the same time share the limit and a write', async () => {
  const place = world();
  const ledger = await start(place);
  const before = place.fs.operations;
  const claims = Array.from({ length: 50 }, () => ledger.claim());
  const answers = claims.map((claim) => claim.take(uses(20), 'a', 0));
  assert.equal(answers.filter((answer) => answer === 'taken').length, 20);
  for (const claim of claims) assert.notEqual(await claim.recorded(), false);
  assert.ok(place.fs.operations - before < 10, 'two batches, not twenty');
});

test('kill -9 and restart give nothing back; another subject and another limit have their own', async () => {
  const place = world();
  assert.deepEqual(await many(await start(place), uses(3), 2), ['taken', 'taken']);
  // The old process writes nothing on its way out.
  const again = await start(place);
  assert.deepEqual(await many(again, uses(3), 2), ['taken', 'uses']);
  assert.deepEqual([await used(again, uses(3), 'b'), await used(again, uses(4))], ['taken', 'taken']);
  assert.deepEqual(await many(await start(place), uses(3), 1), ['uses']);
});

test('a rate goes on over a restart by trusted time, and over a reboot as soon as time is trusted', async () => {
  const place = world();
  const limit = rate(2, 10 * minute);
  const ledger = await start(place);
  assert.deepEqual(await many(ledger, limit, 1), ['taken']);
  pass(place, 4 * minute);
  assert.deepEqual(await many(ledger, limit, 2), ['taken', 'rate']);
  pass(place, 5 * minute);
  const restarted = await start(place);
  assert.deepEqual(await many(restarted, limit, 1), ['rate']);
  pass(place, minute);
  assert.deepEqual(await many(restarted, limit, 2), ['taken', 'rate'], 'the first is ten minutes ago');

  const rebooted = await start(Object.assign(place, { elapsed: 5, trusted: false, wall: place.wall + 3_600_000 }));
  assert.deepEqual(await many(rebooted, limit, 1), ['rate'], 'nobody knows what time it is');
  pass(place, minute);
  place.trusted = true;
  assert.deepEqual(await many(rebooted, limit, 3), ['taken', 'taken', 'rate'], 'an hour has passed');
});

test('a use at a time that nobody knew counts from the next start on', async () => {
  const place = Object.assign(world(), { trusted: false });
  const limit = rate(1, 10 * minute);
  assert.deepEqual(await many(await start(place), limit, 1), ['taken']);
  Object.assign(place, { trusted: true, wall: place.wall + 365 * 86_400_000 });
  const restarted = await start(place);
  assert.deepEqual(await many(restarted, limit, 1), ['rate']);
  pass(place, 10 * minute);
  assert.deepEqual(await many(restarted, limit, 1), ['taken']);
});

test('a rate of seconds is not written, and lets nothing through for one window after a start', async () => {
  const place = world();
  const limit = rate(2, 5_000);
  const ledger = await start(place);
  assert.equal(await used(ledger, limit), 'rate');
  pass(place, 5_000);
  const before = place.fs.operations;
  assert.deepEqual(await many(ledger, limit, 3), ['taken', 'taken', 'rate']);
  assert.equal(place.fs.operations, before);
});

test('a disk that fails denies until a whole snapshot was written, and what was lost stays spent', async () => {
  const place = world();
  const ledger = await start(place);
  place.fs.failSyncs(1);
  assert.equal(await used(ledger, uses(3)), 'lost');
  place.fs.setFreeBytes(0);
  pass(place, 1_000);
  assert.equal(await used(ledger, uses(3)), 'unavailable');
  await new Promise(setImmediate);
  assert.equal(await used(ledger, uses(3)), 'unavailable', 'still full');
  place.fs.setFreeBytes(Infinity);
  pass(place, 1_000);
  assert.equal(await used(ledger, uses(3)), 'unavailable', 'starts the repair');
  await quiet();
  assert.deepEqual(await many(ledger, uses(3), 3), ['taken', 'taken', 'uses']);
  assert.deepEqual(await many(await start(place), uses(3), 1), ['uses']);
});

test('damage denies what has a limit, is reported, and does not keep the edge from starting', async () => {
  const damages: Record<string, (fs: SimulatedFiles) => Promise<void>> = {
    'a flipped bit in the snapshot': async (fs) => fs.flipBit(`${stateDir}/usage/counts`, 200),
    'a flipped bit in the journal before its last line': async (fs) => fs.flipBit(`${stateDir}/usage/journal.1`, 300),
    'a flipped line break': async (fs) => {
      const path = `${stateDir}/usage/journal.1`;
      fs.flipBit(path, (await fs.readFile(path, 10_000)).indexOf('\n') * 8);
    },
    'a lost snapshot': async (fs) => fs.unlink(`${stateDir}/usage/counts`),
  };
  for (const [what, damage] of Object.entries(damages)) {
    const place = world();
    await many(await start(place), uses(9), 3);
    await damage(place.fs);
    const ledger = await start(place);
    assert.deepEqual(
      [await used(ledger, uses(9)), ledger.claim().look(uses(9), 'a', 0)],
      ['unavailable', 'unavailable'],
      what,
    );
    assert.deepEqual(
      place.events.map(({ activity, severity }) => [activity, severity]),
      [['usage-lost', 'high']],
    );
    await place.fs.unlink(`${stateDir}/usage/journal.1`).catch(() => undefined);
    await place.fs.unlink(`${stateDir}/usage/counts`).catch(() => undefined);
    assert.equal(await used(await start(place), uses(9)), 'taken', 'removed by an operator');
  }
});

test('the journal is folded before it grows without end', async () => {
  const place = world();
  const ledger = await start(place);
  const claims = Array.from({ length: 3 }, () => 'x'.repeat(100));
  for (let turn = 0; turn < 40; turn++) {
    const all = Array.from({ length: 400 }, (_, index) => `${claims[0]}-${turn}-${index}`);
    const taking = all.map((subject) => {
      const claim = ledger.claim();
      assert.equal(claim.take(uses(9), subject, 0), 'taken');
      return claim.recorded();
    });
    for (const written of taking) assert.equal(await written, true);
  }
  await quiet();
  const names = await place.fs.list(`${stateDir}/usage`);
  assert.ok(names.length <= 2, names.join());
  assert.ok(!names.includes('journal.1'));
  const again = await start(place);
  assert.equal(await used(again, { uses: { key: 'g@d/uses:9', count: 1 }, words }, `${claims[0]}-0-0`), 'uses');
});

test('property: over power cuts, kills and full disks no more uses are let through than there are', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constant({ kind: 'use' as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), after: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('full' as const), bytes: fc.integer({ min: 0, max: 200 }) }),
    },
  );
  let through = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.nat(),
      fc.integer({ min: 1, max: 4 }),
      async (steps, seed, count) => {
        const place = world(new SimulatedFiles({ seed }));
        const limit = { ...uses(count), ...rate(count, 1e12), words };
        let ledger = await start(place);
        let allowed = 0;
        const reboot = async (): Promise<void> => {
          place.fs = place.fs.restart();
          place.fs.setFreeBytes(Infinity);
          ledger = await start(place);
        };
        for (const one of steps) {
          if (one.kind === 'cut') place.fs.cutAfter(one.after);
          if (one.kind === 'full') place.fs.setFreeBytes(one.bytes);
          if (one.kind === 'kill') {
            // What a dead process had begun does not go on beside the next one.
            await quiet();
            if (!place.fs.cut) ledger = await start(place);
          }
          if (one.kind === 'use' && (await used(ledger, limit)) === 'taken') allowed++;
          pass(place, 1_000);
          if (place.fs.cut) await reboot();
        }
        assert.ok(allowed <= count, `${allowed} of ${count}`);
        through += allowed;
        // Where nothing was lost on the way, none of them is missing either.
        if (steps.every(({ kind }) => kind === 'use' || kind === 'kill')) {
          assert.equal(allowed, Math.min(count, steps.filter(({ kind }) => kind === 'use').length));
        }
        assert.ok(
          !place.events.some(({ data }) => /not what was written|no snapshot/.test(String(data['message']))),
          'damage',
        );
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(through > 50, String(through));
});

test('property: in real time no window holds more than the rate, whatever wall clock, restarts and reboots do', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant('use' as const), wait: fc.integer({ min: 0, max: 20_000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('jump' as const), by: fc.integer({ min: -1e7, max: 1e7 }) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'reboot' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'trust' as const }) },
  );
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), async (steps, count) => {
      const perMs = 30_000;
      const limit = rate(count, perMs);
      const place = world();
      let real = place.wall;
      const taken: number[] = [];
      let ledger = await start(place);
      for (const one of steps) {
        if (one.kind === 'use') {
          real += one.wait;
          pass(place, one.wait);
          if ((await used(ledger, limit)) === 'taken') taken.push(real);
          else refused++;
        }
        // A clock that is trusted is right; what jumps is one that nobody vouches for.
        if (one.kind === 'jump' && !place.trusted) place.wall += one.by;
        if (one.kind === 'kill') ledger = await start(place);
        if (one.kind === 'reboot') ledger = await start(Object.assign(place, { elapsed: 7, trusted: false }));
        if (one.kind === 'trust') Object.assign(place, { trusted: true, wall: real });
      }
      for (const [index, at] of taken.entries()) {
        const later = taken[index + count];
        assert.ok(later === undefined || later - at >= perMs, taken.map((time) => time - real).join());
      }
    }),
    { numRuns: 600 },
  );
  assert.ok(refused > 100, String(refused));
});

test('property: whatever decays or is cut off on the disk, what is told apart denies, and the rest costs one use at most', async () => {
  let [unavailable, sound] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.nat(),
      fc.boolean(),
      fc.boolean(),
      async (count, at, snapshot, cut) => {
        const place = world();
        await many(await start(place), uses(9), count);
        const path = `${stateDir}/usage/${snapshot ? 'counts' : 'journal.1'}`;
        const size = (await place.fs.stat(path))?.size ?? 0;
        if (cut) {
          const file = await place.fs.open(path, 'append');
          await file.truncate(at % size);
          await file.sync();
          await file.close();
        } else place.fs.flipBit(path, at % (size * 8));
        const answers = await many(await start(place), uses(9), 9);
        const taken = answers.filter((answer) => answer === 'taken').length;
        if (answers.includes('unavailable')) {
          unavailable++;
          assert.equal(taken, 0);
          return;
        }
        sound++;
        // A journal that ends early has lost the lines behind; each line is one use here.
        const lost = cut && !snapshot ? count : 1;
        assert.ok(taken <= 9 - count + lost, `${taken} of ${9 - count}`);
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(unavailable > 30 && sound > 15, `${unavailable} ${sound}`);
});
