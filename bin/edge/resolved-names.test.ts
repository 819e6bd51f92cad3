// The addresses behind the names of rules: asked again, kept while nobody answers and over a restart, and never those that
// would open this host, its control plane or a device to whoever answers for a name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import { type Slice, sliceSchema } from '../../policy/bundle/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';
import type { Answer } from './ask-names.ts';
import { refusedAnswer, takenAddresses } from './name-answers.ts';
import { openResolvedNames, resolvedNamesLimits as limits } from './resolved-names.ts';

const name = 'updates.vendor.example';
const minute = 60_000;

const slice = (names: readonly string[] = [name]): Slice =>
  sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc',
    devices: [
      { id: 'plc', labels: {}, interfaces: [{ name: 'eth0', network: 'cell', address: '10.20.0.2' }] },
      { id: 'camera', labels: {}, interfaces: [{ name: 'eth0', network: 'cell', address: 'fd20::5' }] },
    ],
    interfaces: [],
    grants: [],
    denies: [],
    firewall: names.map((entry, index) => ({
      id: `rule-${index}`,
      tier: 'admin',
      priority: index,
      verdict: 'allow',
      direction: 'out',
      transport: 'tcp',
      peers: [],
      names: [entry],
      ports: [443, 443],
      place: 'firewall/names.yaml:1',
    })),
    casbin: [],
    selfTest: [],
  });

const says =
  (...addresses: string[]) =>
  (): Promise<readonly Answer[]> =>
    Promise.resolve(addresses.map((address) => ({ address, ttlSeconds: 1 })));
const silent = (): Promise<readonly Answer[]> => Promise.reject(new Error('queryA ETIMEOUT'));

async function bench(t: { after(done: () => void): void }, files = new SimulatedFiles(), clock = new FakeClock()) {
  await files.mkdir('/state').catch(() => undefined);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const events: NewEvent[] = [];
  const made = {
    files,
    clock,
    events,
    answer: silent,
    asked: 0,
    changes: 0,
    slice: slice(),
    addresses: (): readonly string[] => names.addresses(made.slice)[name] ?? [],
    follow: async () => {
      const task = names.follow(
        () => made.slice,
        () => (made.changes += 1),
      );
      void task(stop.signal);
      await clock.advance(0);
    },
    stop: () => stop.abort(),
  };
  const names = await openResolvedNames({
    config: { state: '/state', firewall: { dns: ['10.20.0.53'] } },
    fs: files,
    clock,
    now: () => clock.now(),
    random: () => 0.5,
    log: createLogger({ name: 'test', level: 'silent' }),
    emit: async (event) => void events.push(event),
    control: () => ['10.20.0.1'],
    own: () => ['10.30.0.2'],
    ask: (asked, family) => {
      assert.equal(asked, name);
      if (family === 6) return Promise.reject(new Error('queryAaaa ENODATA'));
      made.asked += 1;
      return made.answer();
    },
  });
  return made;
}

const activities = (events: readonly NewEvent[]): string[] => events.map((event) => event.activity);

test('a name is asked for again when its answer is over, not sooner than the floor', async (t) => {
  const made = await bench(t);
  made.answer = says('93.184.215.14');
  await made.follow();
  assert.deepEqual(made.addresses(), ['93.184.215.14']);
  assert.deepEqual([made.asked, made.changes], [1, 1]);
  await made.clock.advance(limits.minAnswerMs - 1_000);
  assert.equal(made.asked, 1);
  await made.clock.advance(10 * minute);
  assert.ok(made.asked > 10 && made.asked <= 22, `asked ${made.asked} times`);
  assert.equal(made.changes, 1, 'the same answer changes nothing');
});

test('an address that is no longer answered holds for the grace time', async (t) => {
  const made = await bench(t);
  made.answer = says('93.184.215.14');
  await made.follow();
  made.answer = says('93.184.215.15');
  await made.clock.advance(minute);
  assert.deepEqual(made.addresses(), ['93.184.215.14', '93.184.215.15']);
  await made.clock.advance(limits.graceMs - 2 * minute);
  assert.deepEqual(made.addresses(), ['93.184.215.14', '93.184.215.15']);
  await made.clock.advance(3 * minute);
  assert.deepEqual(made.addresses(), ['93.184.215.15']);
  assert.equal(made.changes, 3);
});

test('without an answer the last one holds, also over a restart, and not for ever', async (t) => {
  const made = await bench(t);
  made.answer = says('93.184.215.14');
  await made.follow();
  made.answer = silent;
  await made.clock.advance(60 * minute);
  assert.deepEqual(made.addresses(), ['93.184.215.14']);
  assert.deepEqual(activities(made.events), ['name-stale']);
  made.answer = says();
  await made.clock.advance(60 * minute);
  assert.deepEqual(made.addresses(), ['93.184.215.14'], 'an empty answer ends nothing');
  made.stop();

  const next = await bench(t, made.files.restart(), made.clock);
  assert.deepEqual(next.addresses(), ['93.184.215.14'], 'known without asking');
  await next.follow();
  await next.clock.advance(limits.maxStaleMs - 3 * 60 * minute);
  assert.deepEqual(next.addresses(), ['93.184.215.14']);
  await next.clock.advance(120 * minute);
  assert.deepEqual(next.addresses(), []);
  assert.equal(next.events.at(-1)?.activity, 'name-expired');
});

test('answers that would open this host, its control plane or a device are refused, told once, and end nothing', async (t) => {
  const made = await bench(t);
  made.answer = says('93.184.215.14', '127.0.0.1', '10.20.0.1', '10.30.0.2', '10.20.0.2');
  await made.follow();
  assert.deepEqual(made.addresses(), ['93.184.215.14']);
  made.answer = says('169.254.169.254', '10.20.0.53');
  await made.clock.advance(30 * minute);
  assert.deepEqual(made.addresses(), ['93.184.215.14']);
  const refused = made.events.filter((event) => event.activity === 'name-refused').map(({ data }) => data['address']);
  assert.deepEqual(refused, ['127.0.0.1', '10.20.0.1', '10.30.0.2', '10.20.0.2', '169.254.169.254', '10.20.0.53']);
  // The inventory changes behind an answer.
  made.answer = says('10.20.0.9');
  await made.clock.advance(20 * minute);
  assert.deepEqual(made.addresses(), ['10.20.0.9']);
  const device = { id: 'new', labels: {}, interfaces: [{ name: 'eth0', network: 'cell', address: '10.20.0.9' }] };
  made.slice = { ...made.slice, devices: [...made.slice.devices, device] };
  assert.deepEqual(made.addresses(), []);
});

test('an answer of many addresses is cut, a name without a rule is forgotten', async (t) => {
  const made = await bench(t);
  made.answer = says(...Array.from({ length: 200 }, (_, index) => `93.184.215.${index}`));
  await made.follow();
  assert.equal(made.addresses().length, limits.maxAddresses);
  const before = made.slice;
  made.slice = slice([]);
  await made.clock.advance(minute);
  made.answer = silent;
  made.slice = before;
  assert.deepEqual(made.addresses(), []);
});

test('a file that is damaged, or from the future, gives no address a longer life', async (t) => {
  for (const text of ['{', '{"entries":[{"key":"4 a.example","answeredAt":1,"seen":[["::ffff:1.2.3.4",1]]}]}']) {
    const files = new SimulatedFiles();
    await put(files, text);
    assert.deepEqual((await bench(t, files)).addresses(), []);
  }
  const files = new SimulatedFiles();
  const future = 9e15;
  await put(
    files,
    JSON.stringify({ entries: [{ key: `4 ${name}`, answeredAt: future, seen: [['93.184.215.14', future]] }] }),
  );
  const made = await bench(t, files);
  await made.follow();
  assert.deepEqual(made.addresses(), ['93.184.215.14']);
  await made.clock.advance(limits.maxStaleMs + minute);
  assert.deepEqual(made.addresses(), []);
});

async function put(files: SimulatedFiles, text: string): Promise<void> {
  await files.mkdir('/state');
  const handle = await files.open('/state/resolved-names.json', 'create');
  await handle.append(Buffer.from(text));
  await handle.close();
}

test('no answer of loopback, link-local, multicast or wrapped addresses is believed, whatever its spelling', () => {
  const taken = takenAddresses({ slice: slice(), control: ['fd20::1'], resolvers: [], own: [] });
  const octet = fc.integer({ min: 0, max: 255 });
  const hostile = fc.oneof(
    fc.tuple(fc.constantFrom(0, 127, 224, 239, 255), octet, octet, octet).map((parts) => parts.join('.')),
    fc.tuple(octet, octet).map(([a, b]) => `169.254.${a}.${b}`),
    fc.tuple(octet, octet).map(([a, b]) => `::ffff:10.0.${a}.${b}`),
    fc.tuple(octet, octet).map(([a, b]) => `64:ff9b::127.0.${a}.${b}`),
    fc.constantFrom('::', '::1', 'fe80::1', 'ff02::1', '0:0:0:0:0:0:0:1', 'FD20::5', 'fd20:0::0:1', 'fe80::1%eth0', ''),
  );
  fc.assert(fc.property(hostile, (address) => refusedAnswer(address, taken) !== undefined));
  for (const good of ['93.184.215.14', '10.20.0.9', '2001:4860:4860::8888', 'fd20::9']) {
    assert.equal(refusedAnswer(good, taken), undefined, good);
  }
});
