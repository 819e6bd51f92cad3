// Where the control plane is: known without network, found behind that. Nobody here waits for a resolver.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import { type ControlAddresses, openControlAddresses } from './control-addresses.ts';

const file = '/state/control-addresses.json';
const minute = 60_000;
const unresolved = (): Promise<readonly string[]> => Promise.reject(new Error('EAI_AGAIN'));
const never = (): Promise<readonly string[]> => new Promise(() => undefined);

interface Bench {
  /** What the name resolves to now. */
  resolve: () => Promise<readonly string[]>;
  ofHost: readonly string[];
  asked: number;
  reached: boolean;
  env: Record<string, string>;
  changes: number;
  readonly files: SimulatedFiles;
  readonly clock: FakeClock;
  readonly lines: string[];
  open(config?: { address?: string; dns?: string[]; mode?: 'enforce' | 'off' }): Promise<ControlAddresses>;
  /** Follows until the test ends. */
  follow(addresses: ControlAddresses): Promise<void>;
}

async function bench(t: { after(done: () => void): void }, kept?: string): Promise<Bench> {
  const files = new SimulatedFiles();
  await files.mkdir('/state');
  if (kept !== undefined) {
    const handle = await files.open(file, 'create');
    await handle.append(Buffer.from(kept));
    await handle.close();
  }
  const stop = new AbortController();
  t.after(() => stop.abort());
  const lines: string[] = [];
  const log = createLogger({
    name: 'test',
    level: 'info',
    destination: { write: (line: string) => void lines.push(line) },
  });
  const clock = new FakeClock();
  const made: Bench = {
    resolve: unresolved,
    ofHost: ['10.20.0.53'],
    asked: 0,
    reached: false,
    env: {},
    changes: 0,
    files,
    clock,
    lines,
    open: ({ address = 'control.plant.example:7443', dns = [], mode = 'enforce' } = {}) =>
      openControlAddresses({
        config: { state: '/state', control: { address }, firewall: { mode, backend: 'auto', fallback: 'refuse', dns } },
        fs: files,
        clock,
        random: () => 0.5,
        log,
        resolve: (name) => {
          assert.equal(name, 'control.plant.example');
          made.asked += 1;
          return made.resolve();
        },
        env: made.env,
        hostResolvers: () => Promise.resolve(made.ofHost),
      }),
    follow: async (addresses) => {
      const task = addresses.follow(
        () => made.reached,
        () => (made.changes += 1),
      );
      void task(stop.signal);
      await clock.advance(0);
    },
  };
  return made;
}

const kept = (...addresses: string[]): string => JSON.stringify({ name: 'control.plant.example', addresses });
const places = (addresses: ControlAddresses): string[] => addresses.endpoints().map((it) => `${it.address} ${it.port}`);

test('an address needs no resolver', async (t) => {
  const made = await bench(t);
  const addresses = await made.open({ address: '[fd20::1]:7443', dns: ['10.20.0.9'] });
  await made.follow(addresses);
  assert.deepEqual(places(addresses), ['fd20::1 7443']);
  assert.deepEqual(addresses.resolvers(), ['10.20.0.9']);
  assert.equal(addresses.dialer()(), '[fd20::1]:7443');
  assert.equal(made.asked, 0);
});

test('what was resolved last is known without asking anybody, and the resolvers of the host stay closed', async (t) => {
  const made = await bench(t, kept('10.20.0.1', 'fd20::1'));
  made.resolve = never;
  const addresses = await made.open();
  await made.follow(addresses);
  await made.clock.advance(minute);
  assert.deepEqual(places(addresses), ['10.20.0.1 7443', 'fd20::1 7443']);
  assert.deepEqual(addresses.resolvers(), []);
  assert.equal(made.asked, 0);
  const dial = addresses.dialer();
  assert.deepEqual([dial(), dial(), dial()], ['10.20.0.1:7443', '[fd20::1]:7443', '10.20.0.1:7443']);
  made.env = { https_proxy: 'http://proxy.plant.example:3128' };
  assert.equal((await made.open()).dialer()(), 'control.plant.example:7443', 'a proxy is told the name');
});

test('a name that resolves later is known from then on, also after a power cut; the resolvers of the host are closed again', async (t) => {
  const made = await bench(t);
  const addresses = await made.open();
  assert.deepEqual([places(addresses), addresses.resolvers()], [[], ['10.20.0.53']]);
  assert.throws(addresses.dialer(), { code: 'EDGE_CONTROL_UNRESOLVED' });
  await made.follow(addresses);
  await made.clock.advance(2 * minute);
  assert.ok(made.asked > 3, `asked ${made.asked} times`);
  assert.equal(made.changes, 0);
  made.resolve = () => Promise.resolve(['fe80::1%eth0', '10.20.0.1', '10.20.0.1', '::ffff:10.9.9.9']);
  await made.clock.advance(minute);
  assert.deepEqual(places(addresses), ['10.20.0.1 7443']);
  assert.equal(made.changes, 1);
  made.reached = true;
  await made.clock.advance(minute);
  assert.deepEqual(addresses.resolvers(), []);
  assert.equal(made.changes, 2);
  const files = made.files.restart();
  assert.deepEqual(JSON.parse((await files.readFile(file, 1e4)).toString()), JSON.parse(kept('10.20.0.1')));
  assert.equal(made.lines.filter((line) => line.includes('EDGE_CONTROL_UNRESOLVED')).length, 1, 'said once');
});

test('a control plane that has moved is found: at once by configured resolvers, after a while by those of the host', async (t) => {
  const configured = await bench(t, kept('10.20.0.1'));
  configured.resolve = () => Promise.resolve(['10.20.0.2']);
  const one = await configured.open({ dns: ['10.20.0.9'] });
  assert.deepEqual(one.resolvers(), ['10.20.0.9']);
  await configured.follow(one);
  assert.deepEqual([places(one), configured.changes], [['10.20.0.2 7443'], 1]);
  configured.resolve = () => Promise.resolve(['10.20.0.3', '10.20.0.2']);
  await configured.clock.advance(2 * minute);
  configured.resolve = () => Promise.resolve(['10.20.0.2', '10.20.0.3']);
  await configured.clock.advance(2 * minute);
  assert.equal(configured.changes, 2, 'another order is no change');

  const made = await bench(t, kept('10.20.0.1'));
  made.resolve = () => Promise.resolve(['10.20.0.2']);
  made.reached = true;
  const other = await made.open();
  await made.follow(other);
  await made.clock.advance(20 * minute);
  made.reached = false;
  await made.clock.advance(4 * minute);
  assert.deepEqual([made.asked, other.resolvers()], [0, []]);
  await made.clock.advance(2 * minute);
  assert.deepEqual([places(other), other.resolvers()], [['10.20.0.2 7443'], ['10.20.0.53']]);
});

test('a failing resolver takes nothing back', async (t) => {
  const made = await bench(t, kept('10.20.0.1'));
  const addresses = await made.open({ dns: ['10.20.0.9'] });
  await made.follow(addresses);
  await made.clock.advance(10 * minute);
  assert.deepEqual([places(addresses), made.changes], [['10.20.0.1 7443'], 0]);
});

test('a file of addresses that is empty, cut short, no address or of another name counts as none, and is no fault', async (t) => {
  const wrong = ['', kept('10.20.0.1').slice(0, 30), '["10.20.0.1"]', kept('::ffff:10.0.0.1'), kept('x'), kept()];
  for (const text of wrong) {
    const made = await bench(t, text);
    const addresses = await made.open();
    assert.deepEqual([addresses.endpoints(), addresses.resolvers()], [[], ['10.20.0.53']], text);
    assert.equal(made.lines.filter((line) => line.includes('cannot be read')).length, 1, text);
  }
  const other = await bench(t, kept('10.20.0.1').replace('control.', 'old.'));
  assert.deepEqual((await other.open()).endpoints(), []);
});

test('a full disk does not keep what was resolved from being used', async (t) => {
  const made = await bench(t);
  made.files.setFreeBytes(0);
  made.resolve = () => Promise.resolve(['10.20.0.1']);
  const addresses = await made.open();
  await made.follow(addresses);
  assert.deepEqual([places(addresses), made.changes], [['10.20.0.1 7443'], 1]);
  assert.ok(made.lines.some((line) => line.includes('FILE_SYSTEM_FULL')));
});

test('where packets are not filtered the name is dialled as it is', async (t) => {
  const made = await bench(t, kept('10.20.0.1'));
  const addresses = await made.open({ mode: 'off' });
  await made.follow(addresses);
  assert.equal(addresses.dialer()(), 'control.plant.example:7443');
  assert.equal(made.asked, 0);
});
