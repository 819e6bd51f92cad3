// Whom the edge believes about the time: signed time, the host's uptime, and last of all the wall clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { clockEdge, generateKey, hour, keyId, signedTime, start, stateDir } from '../../test/activation/world.ts';
import { freshnessOf } from './freshness.ts';

const minute = 60_000;
const expiry = { issuedAt: start, softExpiry: start + 24 * hour, hardExpiry: start + 168 * hour };

/** A host that was booted; `clock` counts its uptime too. */
function host(clock: FakeClock, id = 'boot-1') {
  const at = clock.monotonic();
  return { id, uptimeMs: () => clock.monotonic() - at + 5_000 };
}

test('a cold boot without trusted time believes the local clock, and counts as soft-expired', async () => {
  const clock = new FakeClock(start + hour);
  const { trusted } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  assert.deepEqual(trusted.time(), { now: start + hour, trusted: false });
  assert.equal(freshnessOf(expiry, trusted.time()), 'soft-expired');
});

test('signed time makes the time trusted; afterwards neither setting the clock back nor ahead changes it', async () => {
  const clock = new FakeClock(start);
  const { trusted } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  await trusted.observe(await signedTime(start + hour));
  assert.deepEqual(trusted.time(), { now: start + hour, trusted: true });
  assert.equal(freshnessOf(expiry, trusted.time()), 'fresh');
  clock.set(start - 1000 * hour);
  assert.equal(trusted.now(), start + hour);
  clock.set(start + 1000 * hour);
  assert.equal(trusted.now(), start + hour);
  await clock.advance(2 * minute);
  assert.equal(trusted.now(), start + hour + 2 * minute);
});

test('400 days offline are counted, through soft and hard expiry', async () => {
  const clock = new FakeClock(start);
  const { trusted } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  await trusted.observe(await signedTime(start));
  await clock.advance(23 * hour);
  assert.equal(freshnessOf(expiry, trusted.time()), 'fresh');
  await clock.advance(hour);
  assert.equal(freshnessOf(expiry, trusted.time()), 'soft-expired');
  await clock.advance(144 * hour);
  assert.equal(freshnessOf(expiry, trusted.time()), 'hard-expired');
  await clock.advance((400 - 7) * 24 * hour);
  assert.equal(trusted.now(), start + 400 * 24 * hour);
});

test('a restart of the process keeps trusted time; a reboot keeps only the floor', async () => {
  const clock = new FakeClock(start);
  const fs = new SimulatedFiles();
  const boot = host(clock);
  const first = await clockEdge(fs, clock, boot);
  await first.trusted.observe(await signedTime(start + hour));
  await clock.advance(10 * minute);
  const restarted = await clockEdge(fs.restart(), clock, boot);
  assert.deepEqual(restarted.trusted.time(), { now: start + hour + 10 * minute, trusted: true });

  clock.set(start - 30 * 24 * hour);
  const rebooted = await clockEdge(fs.restart(), clock, host(clock, 'boot-2'));
  assert.deepEqual(
    rebooted.trusted.time(),
    { now: start + hour, trusted: false, floor: start + hour },
    'the clock set back meets the floor',
  );
  clock.set(start + 9 * 24 * hour);
  assert.equal(rebooted.trusted.now(), start + 9 * 24 * hour);
  assert.equal(freshnessOf(expiry, rebooted.trusted.time()), 'hard-expired', 'a clock far ahead may only expire early');
  await rebooted.trusted.observe(await signedTime(start + 2 * hour));
  assert.deepEqual(rebooted.trusted.time(), { now: start + 2 * hour, trusted: true }, 'signed time heals it');
});

test('a local time never reaches the floor', async () => {
  const clock = new FakeClock(start + 1000 * hour);
  const fs = new SimulatedFiles();
  const boot = host(clock);
  const { trusted } = await clockEdge(fs, clock, boot);
  await trusted.observe(await signedTime(start));
  const file = JSON.parse((await fs.readFile(`${stateDir}/clock.json`, 4096)).toString('utf8')) as { floor: number };
  assert.equal(file.floor, start);
  assert.equal(trusted.status().floor, start);
});

test('the floor is written in steps, and what was not written is only a little', async () => {
  const clock = new FakeClock(start);
  const fs = new SimulatedFiles();
  const { trusted } = await clockEdge(fs, clock, host(clock));
  await trusted.observe(await signedTime(start));
  const operations = fs.operations;
  for (let index = 1; index < 10; index += 1) {
    await clock.advance(30_000);
    await trusted.observe(await signedTime(start + index * 30_000));
  }
  assert.equal(fs.operations, operations);
  await clock.advance(30_000);
  await trusted.observe(await signedTime(start + 10 * 30_000));
  assert.ok(fs.operations > operations);
});

test('an older signed time neither lowers the floor nor turns the time back', async () => {
  const clock = new FakeClock(start);
  const { trusted } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  await trusted.observe(await signedTime(start + hour));
  await clock.advance(10 * minute);
  await trusted.observe(await signedTime(start));
  assert.equal(trusted.now(), start + hour + 10 * minute);
  assert.equal(trusted.status().floor, start + hour);
});

test('a signed time far ahead of what this boot counted is refused and reported', async () => {
  const clock = new FakeClock(start);
  const { trusted, events } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  await trusted.observe(await signedTime(start));
  await clock.advance(minute);
  await assert.rejects(trusted.observe(await signedTime(start + 24 * 365 * hour)), { code: 'CLOCK_JUMP_REFUSED' });
  assert.equal(trusted.now(), start + minute);
  assert.deepEqual(
    events.map(({ activity, severity }) => [activity, severity]),
    [['clock-refuse', 'high']],
  );
});

test('time of another domain, by another key, of another type, or none at all is refused', async () => {
  const clock = new FakeClock(start);
  const { trusted, events } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  const stranger = generateKey();
  const by = { key: stranger.privateKey, keyId: keyId(stranger.publicKey) };
  await assert.rejects(trusted.observe(await signedTime(start, { domain: 'other.example' })), {
    code: 'CLOCK_TIME_INVALID',
  });
  await assert.rejects(trusted.observe(await signedTime(-5)), { code: 'CLOCK_TIME_INVALID' });
  await assert.rejects(trusted.observe(await signedTime(start, { by })), { code: 'IDENTITY_JWS_KEY_UNKNOWN' });
  await assert.rejects(trusted.observe('now'), { code: 'IDENTITY_JWS_INVALID' });
  assert.deepEqual(
    events.map(({ activity }) => activity),
    Array.from({ length: 4 }, () => 'clock-refuse'),
  );
  assert.equal(trusted.time().trusted, false);
});

test('a local clock that is wrong is reported once, and once when it is right again', async () => {
  const clock = new FakeClock(start + 24 * hour);
  const { trusted, events } = await clockEdge(new SimulatedFiles(), clock, host(clock));
  await trusted.observe(await signedTime(start));
  await trusted.observe(await signedTime(start + 1));
  assert.equal(trusted.status().localSkewMs, 24 * hour - 1);
  clock.set(start);
  await trusted.observe(await signedTime(start + 2));
  assert.deepEqual(
    events.map(({ activity }) => activity),
    ['clock-skew', 'clock-skew-over'],
  );
});

test('a floor that cannot be read is reported, and the time is not trusted', async () => {
  const clock = new FakeClock(start);
  const fs = new SimulatedFiles();
  const boot = host(clock);
  const { trusted } = await clockEdge(fs, clock, boot);
  await trusted.observe(await signedTime(start));
  fs.flipBit(`${stateDir}/clock.json`, 5);
  const after = await clockEdge(fs, clock, boot);
  assert.equal(after.trusted.time().trusted, false);
  assert.deepEqual(
    after.events.map(({ activity }) => activity),
    ['clock-floor-lost'],
  );
});

test('a full disk does not lose the time, only its floor', async () => {
  const clock = new FakeClock(start);
  const fs = new SimulatedFiles();
  fs.setFreeBytes(0);
  const { trusted } = await clockEdge(fs, clock, host(clock));
  await trusted.observe(await signedTime(start + hour));
  assert.deepEqual(trusted.time(), { now: start + hour, trusted: true });
});

test('a bundle dated well ahead of trusted time is not fresh', () => {
  assert.equal(freshnessOf(expiry, { now: start - 4 * minute, trusted: true }), 'fresh');
  assert.equal(freshnessOf(expiry, { now: start - 6 * minute, trusted: true }), 'soft-expired');
});
