import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReplan } from './replan.ts';

/** A kernel that takes a plan when it is told to. */
function kernel() {
  const done: string[] = [];
  const waiting: { readonly name: string; readonly finish: (refusal?: Error) => void }[] = [];
  const put = (source: string | undefined, always: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const name = `${source ?? 'none'}${always ? '!' : ''}`;
      waiting.push({
        name,
        finish: (refusal) => {
          waiting.shift();
          done.push(refusal === undefined ? name : `${name} failed`);
          if (refusal === undefined) resolve();
          else reject(refusal);
        },
      });
    });
  const next = async (refusal?: Error): Promise<void> => {
    for (let turns = 0; turns < 10 && waiting.length === 0; turns++) await Promise.resolve();
    assert.equal(waiting.length, 1, 'one plan at a time');
    waiting[0]?.finish(refusal);
    for (let turns = 0; turns < 10; turns++) await Promise.resolve();
  };
  return { put, done, next, idle: () => waiting.length === 0 };
}

const unexpected = (error: unknown): void => assert.fail(String(error));

test('states that arrive while a new bundle is put in force do not bring the old rules back', async () => {
  const { put, done, next } = kernel();
  const replan = createReplan(put, unexpected);
  const first = replan.replace('old');
  await next();
  await first;
  const second = replan.replace('new');
  replan.refresh(false);
  await next();
  await next();
  await second;
  assert.deepEqual(done, ['old!', 'new!', 'new']);
});

test('a bundle that the kernel refuses leaves the one before, and refreshing goes on', async () => {
  const { put, done, next } = kernel();
  const failures: unknown[] = [];
  const replan = createReplan(put, (error) => failures.push(error));
  const first = replan.replace('good');
  await next();
  await first;
  const second = assert.rejects(replan.replace('bad'));
  replan.refresh(true);
  await next(new Error('netlink: EBUSY'));
  await second;
  await next(new Error('netlink: EBUSY'));
  replan.refresh(false);
  await next();
  assert.deepEqual(done, ['good!', 'bad! failed', 'good! failed', 'good']);
  assert.equal(failures.length, 1);
});

test('what is asked for while a plan waits for its turn is one plan, and it keeps the stronger wish', async () => {
  const { put, done, next, idle } = kernel();
  const replan = createReplan(put, unexpected);
  const first = replan.replace('bundle');
  replan.refresh(false);
  replan.refresh(true);
  replan.refresh(false);
  await next();
  await first;
  await next();
  assert.ok(idle());
  // Asked for while the last one runs: its states may be older, so there is another.
  replan.refresh(false);
  await Promise.resolve();
  replan.refresh(false);
  await next();
  await next().catch(() => undefined);
  assert.deepEqual(done.slice(0, 3), ['bundle!', 'bundle!', 'bundle']);
});
