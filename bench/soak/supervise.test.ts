// The windows that the soak leaves out are those of its own kills, and of nothing else.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import type { NetProcess } from '../../test/support/netns.ts';
import { supervise, type Supervised } from './supervise.ts';

/** A program whose starts and ends the test decides. */
function program(t: TestContext) {
  let end: () => void = () => undefined;
  let start: PromiseWithResolvers<NetProcess> | undefined;
  let process: NetProcess;
  const spawn = (): NetProcess => {
    const ended = Promise.withResolvers<{ code: number; signal: null }>();
    let alive = true;
    end = () => {
      alive = false;
      ended.resolve({ code: 1, signal: null });
    };
    const die = end;
    const kill = (): boolean => {
      if (!alive) return false;
      die();
      return true;
    };
    return { child: { kill }, exited: ended.promise } as unknown as NetProcess;
  };
  process = spawn();
  const fleet = {
    process: () => process,
    outputOf: () => 'last words',
    start: async () => {
      process = spawn();
      start = Promise.withResolvers();
      return await start.promise;
    },
  };
  const stop = new AbortController();
  t.after(() => stop.abort());
  const supervised = supervise({ fleet, keepLog: () => undefined }, 'plc-1', () => 0, stop.signal);
  return {
    supervised,
    crash: () => {
      start?.reject(new Error('it ended'));
      end();
    },
    starting: () => start !== undefined,
    /** The start that is under way succeeds. */
    serve: () => start?.resolve(process),
  };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await turn();
}
const closed = ({ outages }: Supervised): boolean[] => outages.map(({ to }) => Number.isFinite(to));

test('a kill opens one window, which ends when the program serves again', async (t) => {
  const { supervised, serve } = program(t);
  assert.equal(supervised.kill(), true);
  assert.equal(supervised.kill(), false, 'it is dying');
  assert.deepEqual(closed(supervised), [false]);
  await until(() => (serve(), supervised.serving()));
  assert.deepEqual(closed(supervised), [true]);
  assert.deepEqual(supervised.faults, []);
});

test('an end by itself is a fault and opens no window', async (t) => {
  const { supervised, crash, serve } = program(t);
  crash();
  await until(() => supervised.faults.length > 0);
  assert.match(supervised.faults.join(), /ended by itself: last words/);
  assert.equal(supervised.serving(), false);
  await until(() => (serve(), supervised.serving()));
  assert.deepEqual(supervised.outages, []);
});

test('who ends by itself on the way back from a kill is not excused any longer', async (t) => {
  const { supervised, crash, starting } = program(t);
  supervised.kill();
  await until(starting);
  crash();
  await until(() => supervised.faults.length > 1);
  assert.match(supervised.faults.join('; '), /did not start: .*ended by itself/s);
  assert.deepEqual(closed(supervised), [true]);
});

test('an end by itself does not make the window of an earlier kill longer', async (t) => {
  const { supervised, crash, serve } = program(t);
  supervised.kill();
  await until(() => (serve(), supervised.serving()));
  crash();
  await until(() => supervised.faults.length > 0);
  const [{ to } = { to: 0 }] = supervised.outages;
  await until(() => (serve(), supervised.serving()));
  assert.deepEqual(
    supervised.outages.map((outage) => outage.to),
    [to],
    'the window of the kill did not grow',
  );
});
