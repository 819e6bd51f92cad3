// Beats over a real socket: there, gone, hung. A hung process is a real one, stopped.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { type HeldProcess, processStart } from '../../runtime/linux-process.ts';
import { createLogger } from '../../runtime/log.ts';
import { requires } from '../../test/support/capabilities.ts';
import { until } from '../../test/support/until.ts';
import { listenUnix } from '../authz/index.ts';
import { createBeat, type HeldPeer } from './beat.ts';
import { BEAT_MS, MISSED_BEATS } from './limits.ts';
import { createWatch, type WatchParts } from './watch.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const hmi = { interface: 'plc-modbus', address: '10.0.0.3', subject: 'hmi-1' };

interface Heard {
  there: number;
  readonly gone: { readonly peers: readonly HeldPeer[]; readonly killed: boolean }[];
  readonly socket: string;
  readonly clock: FakeClock;
  readonly isThere: () => boolean;
}

/** `hold`: by default every process is this one, and lives. */
async function watching(t: TestContext, hold?: WatchParts['hold'], other?: Clock): Promise<Heard> {
  const folder = mkdtempSync(join(tmpdir(), 'watch-'));
  const clock = new FakeClock();
  const heard = { there: 0, gone: [] as Heard['gone'][number][], socket: join(folder, 'run', 'standby.sock'), clock };
  const watch = createWatch({
    onThere: () => void heard.there++,
    onGone: (peers, killed) => void heard.gone.push({ peers, killed }),
    clock: other ?? clock,
    log,
    hold: hold ?? ((pid) => alive(pid, () => undefined)),
  });
  const stop = new AbortController();
  await watch.listen((server) => listenUnix(server, heard.socket, 0o600, 'standby'));
  const running = watch.task(stop.signal);
  t.after(async () => {
    stop.abort();
    watch.close();
    if (other === undefined) await running;
    rmSync(folder, { recursive: true, force: true });
  });
  return Object.assign(heard, { isThere: watch.isThere });
}

function alive(pid: number, kill: () => void): HeldProcess {
  let lives = true;
  return {
    pid,
    isAlive: () => lives,
    kill: () => {
      lives = false;
      kill();
    },
    [Symbol.dispose]: () => undefined,
  };
}

function beating(t: TestContext, socket: string, peers: () => readonly HeldPeer[] = () => []) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const beat = createBeat({ socket, pid: 7, started: '70', peers, clock, log });
  const running = beat.task(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  t.after(end);
  return { beat, clock, end };
}

test('an enforcer comes, speaks of its peers, and is gone with those that it spoke of last', async (t) => {
  const heard = await watching(t);
  assert.equal(statSync(heard.socket).mode & 0o777, 0o600);
  let peers: HeldPeer[] = [hmi];
  const { clock, beat, end } = beating(t, heard.socket, () => peers);
  await until('it is there', () => Promise.resolve(heard.there === 1));
  assert.equal(heard.isThere(), true);
  assert.equal(beat.isHeard(), true);
  peers = [hmi, { ...hmi, address: '10.0.0.4' }];
  await clock.advance(5_000);
  await end();
  await until('it is gone', () => Promise.resolve(heard.gone.length === 1));
  assert.deepEqual(heard.gone, [{ peers, killed: false }]);
  assert.equal(heard.isThere(), false);
});

test('one that lives and is silent is killed, and not before it has missed all its beats', async (t) => {
  let killed = 0;
  const heard = await watching(t, (pid) => alive(pid, () => void killed++));
  const { clock } = beating(t, heard.socket, () => [hmi]);
  await until('it is there', () => Promise.resolve(heard.there === 1));
  for (let beats = 0; beats < 3 * MISSED_BEATS; beats++) {
    await clock.advance(BEAT_MS);
    // Both ends of a real socket: what was said has to arrive.
    await delay(3);
    await heard.clock.advance(BEAT_MS);
  }
  assert.equal(killed, 0, 'a beating one is left alone');
  await clock.advance(BEAT_MS);
  await delay(20);
  for (let missed = 0; missed < MISSED_BEATS; missed++) await heard.clock.advance(BEAT_MS);
  assert.equal(killed, 0);
  await heard.clock.advance(2 * BEAT_MS);
  assert.equal(killed, 1);
  await until('it is gone', () => Promise.resolve(heard.gone.length === 1));
  assert.deepEqual(heard.gone, [{ peers: [hmi], killed: true }]);
});

test('time in which the stand-in itself was held up is not held against the enforcer', async (t) => {
  let killed = 0;
  let time = 0;
  let wake = (): void => undefined;
  // A clock of a process that gets no turn for a minute, again and again.
  const late = {
    now: () => time,
    monotonic: () => time,
    sleep: () => new Promise<void>((resolve) => (wake = resolve)),
  };
  const heard = await watching(t, (pid) => alive(pid, () => void killed++), late);
  beating(t, heard.socket);
  await until('it is there', () => Promise.resolve(heard.there === 1));
  for (let turn = 0; turn < MISSED_BEATS - 1; turn++) {
    time += 60_000;
    wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(killed, 0);
});

test('who is no enforcer is not listened to', async (t) => {
  const heard = await watching(t, () => undefined);
  for (const said of [
    '{"kind":"beat"',
    'null\n',
    '{"kind":"hello","format":1,"pid":1,"started":"1"}\n',
    'x'.repeat(600_000),
  ]) {
    const socket = connect(heard.socket);
    socket.on('error', () => undefined);
    socket.write(said);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    for (let missed = 0; missed < MISSED_BEATS + 4; missed++) {
      await heard.clock.advance(BEAT_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
  }
  assert.equal(heard.there, 0);
  assert.deepEqual(heard.gone, []);
});

test('an enforcer tries again until a stand-in listens, and after that one is gone', async (t) => {
  const { beat, clock } = beating(t, join(tmpdir(), `no-standby-${process.pid}.sock`));
  await clock.advance(3_000);
  assert.equal(beat.isHeard(), false);
});

const beatingProgram = `
import { createBeat } from ${JSON.stringify(new URL('./beat.ts', import.meta.url).href)};
import { systemClock } from ${JSON.stringify(new URL('../../runtime/clock.ts', import.meta.url).href)};
import { processStart } from ${JSON.stringify(new URL('../../runtime/linux-process.ts', import.meta.url).href)};
const log = { warn() {}, info() {}, error() {} };
await createBeat({ socket: process.argv[1], pid: process.pid, started: processStart(process.pid), peers: () => [], clock: systemClock, log })
  .task(new AbortController().signal);
`;

test('SIGSTOP: a real process whose event loop does not turn is killed', async (t) => {
  if (!requires(t, 'linux')) return;
  const folder = mkdtempSync(join(tmpdir(), 'watch-'));
  const socket = join(folder, 'standby.sock');
  const gone: boolean[] = [];
  let there = 0;
  const watch = createWatch({
    onThere: () => void there++,
    onGone: (_peers, killed) => void gone.push(killed),
    clock: systemClock,
    log,
  });
  await watch.listen((server) => listenUnix(server, socket, 0o600, 'standby'));
  const stop = new AbortController();
  const running = watch.task(stop.signal);
  const bystander = spawn('sleep', ['60']);
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', beatingProgram, socket], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  t.after(async () => {
    stop.abort();
    watch.close();
    child.kill('SIGKILL');
    bystander.kill('SIGKILL');
    await running;
    rmSync(folder, { recursive: true, force: true });
  });
  const ended = once(child, 'exit');
  await until('it is there', () => Promise.resolve(there === 1));
  child.kill('SIGSTOP');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  await until('it is gone', () => Promise.resolve(gone.length === 1));
  assert.deepEqual(gone, [true]);
  assert.notEqual(processStart(bystander.pid ?? 0), undefined);
});
