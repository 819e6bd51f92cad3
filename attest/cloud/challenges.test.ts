import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createChallenges } from './challenges.ts';

function setUp(maxChallenges?: number) {
  const clock = new FakeClock();
  return { clock, challenges: createChallenges(clock, randomBytes, maxChallenges) };
}

describe('challenges', () => {
  test('are 32 random bytes, never the same twice', () => {
    const { challenges } = setUp();
    const nonces = Array.from({ length: 200 }, (_, index) => challenges.issue(`d${index}`, '').nonce);
    assert.ok(nonces.every((nonce) => nonce.length === 32));
    assert.equal(new Set(nonces.map((nonce) => nonce.toString('hex'))).size, 200);
  });

  test('a source of randomness that repeats itself or runs short is an error', () => {
    const stuck = createChallenges(new FakeClock(), (count) => Buffer.alloc(count, 7));
    stuck.issue('a', '');
    assert.throws(() => stuck.issue('b', ''), /repeats itself/);
    assert.throws(() => createChallenges(new FakeClock(), () => Buffer.alloc(4)).issue('a', ''), /repeats itself/);
  });

  test('are good once', () => {
    const { challenges } = setUp();
    const { nonce } = challenges.issue('a', '1');
    challenges.redeem(nonce, 'a', '1');
    assert.throws(() => challenges.redeem(nonce, 'a', '1'), { code: 'ATTEST_NONCE_REPLAYED' });
  });

  test('are good for a minute, to the millisecond', async () => {
    const { challenges, clock } = setUp();
    const [first, second] = [challenges.issue('a', ''), challenges.issue('a', '')];
    assert.equal(first.deadlineMs, 60_000);
    await clock.advance(60_000);
    challenges.redeem(first.nonce, 'a', '');
    await clock.advance(1);
    assert.throws(() => challenges.redeem(second.nonce, 'a', ''), { code: 'ATTEST_EVIDENCE_LATE' });
    assert.throws(() => challenges.redeem(second.nonce, 'a', ''), { code: 'ATTEST_NONCE_REPLAYED' });
  });

  test('a clock that is set back does not lengthen them', async () => {
    const { challenges, clock } = setUp();
    const { nonce } = challenges.issue('a', '');
    await clock.advance(61_000);
    clock.set(0);
    assert.throws(() => challenges.redeem(nonce, 'a', ''), { code: 'ATTEST_EVIDENCE_LATE' });
  });

  test('are for one device, and another cannot use them up', () => {
    const { challenges } = setUp();
    const { nonce } = challenges.issue('a', '');
    assert.throws(() => challenges.redeem(nonce, 'b', ''), { code: 'ATTEST_DEVICE_MISMATCH' });
    challenges.redeem(nonce, 'a', '');
  });

  test('are for one connection', () => {
    const { challenges } = setUp();
    const { nonce } = challenges.issue('a', 'connection 1');
    assert.throws(() => challenges.redeem(nonce, 'a', 'connection 2'), { code: 'ATTEST_NONCE_UNKNOWN' });
    challenges.redeem(nonce, 'a', 'connection 1');
  });

  test('that nobody issued are unknown', () => {
    const { challenges } = setUp();
    for (const nonce of [randomBytes(32), Buffer.alloc(0), randomBytes(31)]) {
      assert.throws(() => challenges.redeem(nonce, 'a', ''), { code: 'ATTEST_NONCE_UNKNOWN' });
    }
  });
});

describe('memory for challenges', () => {
  test('is bounded for one device: the oldest is forgotten, others keep theirs', () => {
    const { challenges } = setUp();
    const other = challenges.issue('b', '');
    const [first, ...rest] = Array.from({ length: 5 }, () => challenges.issue('a', ''));
    assert.ok(first);
    assert.throws(() => challenges.redeem(first.nonce, 'a', ''), { code: 'ATTEST_NONCE_UNKNOWN' });
    for (const { nonce } of rest) challenges.redeem(nonce, 'a', '');
    challenges.redeem(other.nonce, 'b', '');
  });

  test('is bounded for all, and free again when they are over', async () => {
    const { challenges, clock } = setUp(3);
    for (const device of ['a', 'b', 'c']) challenges.issue(device, '');
    assert.throws(() => challenges.issue('d', ''), { code: 'ATTEST_BUSY' });
    await clock.advance(70_000);
    assert.throws(() => challenges.issue('d', ''), { code: 'ATTEST_BUSY' });
    await clock.advance(1);
    challenges.issue('d', '');
  });

  test('is free again for a device that was asked often and never answered', async () => {
    const { challenges, clock } = setUp(5);
    for (let round = 0; round < 50; round++) {
      const { nonce } = challenges.issue('a', '');
      if (round % 2 === 0) challenges.redeem(nonce, 'a', '');
      await clock.advance(30_000);
    }
  });
});
