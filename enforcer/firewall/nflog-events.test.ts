// Logged packets become few events and exact counts, with a clock and a log that the test moves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { LoggedPacket, NflogHandlers } from '../../runtime/linux-nflog.ts';
import { createLogger } from '../../runtime/log.ts';
import { readGolden } from '../../test/firewall/golden.ts';
import { MAX_DISTINCT_DENIALS } from './limits.ts';
import type { FirewallPlan } from './plan.ts';
import { DenialWindow, watchDenials } from './nflog-events.ts';

const { plan } = readGolden('plc-cell.txt');

function packet(more: Partial<NonNullable<LoggedPacket['network']>> = {}, prefix = 'ew:default-in'): LoggedPacket {
  const network = {
    source: '10.20.0.5',
    destination: '10.20.0.2',
    protocol: 'tcp',
    sourcePort: 40_000,
    destinationPort: 22,
  };
  return { prefix, inInterface: 'eth0', outInterface: '', network: { ...network, ...more } };
}

const total = (events: readonly NewEvent[]): number =>
  events.reduce((sum, event) => sum + Number(event.data['count']), 0);

test('identical denials are one event; another service port or source is another', () => {
  const window = new DenialWindow();
  window.add(packet({ sourcePort: 1 }), [plan]);
  window.add(packet({ sourcePort: 2 }), [plan]);
  window.add(packet({ destinationPort: 23 }), [plan]);
  window.add(packet({ source: '10.20.0.99' }), [plan]);
  const events = window.take();
  assert.deepEqual(
    events.map(({ data }) => [data['source_ip'], data['destination_port'], data['count'], data['subject']]),
    [
      ['10.20.0.5', 22, 2, 'camera-1'],
      ['10.20.0.5', 23, 1, 'camera-1'],
      ['10.20.0.99', 22, 1, ''],
    ],
  );
  assert.deepEqual(window.take(), []);
});

test('rules of the repository come with their place, a forged source and a contained peer with more severity', () => {
  const window = new DenialWindow();
  for (const rule of ['firewall:no-telnet', 'spoofed', 'quarantined', 'observe'])
    window.add(packet({}, `ew:${rule}`), [plan]);
  assert.deepEqual(
    window
      .take()
      .map(({ activity, severity, data }) => [data['rule'], activity, severity, data['place'], data['decision']]),
    [
      ['firewall:no-telnet', 'deny', 'low', 'firewall/base.yaml:2', 'deny'],
      ['spoofed', 'deny', 'high', '', 'deny'],
      ['quarantined', 'deny', 'medium', '', 'deny'],
      ['observe', 'observe', 'low', '', 'allow'],
    ],
  );
});

test('every rule resolves to its line, its commit and who published it, staged ones to what they would have done', () => {
  const release = { commit: 'c0ffee', author: 'Ada <ada@plant.example>', publisher: 'key-1' };
  const places = { 'firewall:staged': 'firewall/f.yaml:9', 'deny:no-camera': 'denies/d.yaml:3' };
  const of = (bundle: number, more: Partial<FirewallPlan>): FirewallPlan => ({ ...plan, bundle, places: {}, ...more });
  const newest = of(8, { places, staged: { staged: 'deny' }, release });
  const older = of(7, { places: { 'firewall:gone': 'firewall/old.yaml:1' }, release: { ...release, commit: 'beef' } });
  const event = (rule: string) => {
    const window = new DenialWindow();
    window.add(packet({}, `ew:${rule}`), [newest, older]);
    const [{ activity, data } = { activity: '', data: {} as NewEvent['data'] }] = window.take();
    return [activity, data.decision, data.observed, data.place, data.version, data.commit];
  };
  assert.deepEqual(event('observe:staged'), ['observe', undefined, 'deny', 'firewall/f.yaml:9', 8, 'c0ffee']);
  assert.deepEqual(event('limit:staged'), ['limit', 'deny', undefined, 'firewall/f.yaml:9', 8, 'c0ffee']);
  assert.deepEqual(event('ended:staged'), ['deny', 'deny', undefined, 'firewall/f.yaml:9', 8, 'c0ffee']);
  assert.deepEqual(event('deny:no-camera'), ['deny', 'deny', undefined, 'denies/d.yaml:3', 8, 'c0ffee']);
  // Its plan was never confirmed, and what it denies is denied still.
  assert.deepEqual(event('firewall:gone'), ['deny', 'deny', undefined, 'firewall/old.yaml:1', 7, 'beef']);
  assert.deepEqual(event('island'), ['deny', 'deny', undefined, '', 8, 'c0ffee']);
});

test('what an interface in observe mode lets through names the interface and its line', () => {
  const observing = readGolden('observed-window.txt').plan;
  const [service] = observing.generation.sets.filter(({ name }) => name === 'observed').flatMap((set) => set.elements);
  assert.ok(service);
  const window = new DenialWindow();
  const [protocol = '', destinationPort = ''] = service.key;
  window.add(packet({ protocol, destinationPort: Number(destinationPort) }, 'ew:observe'), [observing]);
  const [event] = window.take();
  assert.deepEqual(
    [event?.data.interface, event?.data.place, event?.data.decision, event?.data.observed],
    [service.comment, observing.places[`interface:${service.comment}`], 'allow', 'deny'],
  );
});

test("a packet on its way out is this device's own", () => {
  const window = new DenialWindow();
  const out = {
    ...packet({ source: '10.20.0.2', destination: '10.20.0.5' }, 'ew:default-out'),
    inInterface: '',
    outInterface: 'eth0',
  };
  window.add(out, [plan]);
  const [event] = window.take();
  assert.deepEqual([event?.data['subject'], event?.data['out_interface']], ['plc-1', 'eth0']);
});

test('a flood of invented ports and addresses makes a bounded number of events, and every packet is counted', () => {
  const source = fc.integer({ min: 0, max: 255 }).map((last) => `10.66.0.${last}`);
  const wild = fc.record({ source, destinationPort: fc.integer({ min: 1, max: 65_535 }) });
  fc.assert(
    fc.property(fc.array(wild, { minLength: 1_500, maxLength: 6_000 }), (packets) => {
      const window = new DenialWindow();
      for (const more of packets) window.add(packet(more), [plan]);
      const events = window.take();
      assert.equal(total(events), packets.length);
      assert.ok(events.length <= 2 * MAX_DISTINCT_DENIALS + 10);
    }),
    { numRuns: 10 },
  );
});

test('windows leave every second, losses are events of their own, and the last window leaves at the end', async () => {
  const clock = new FakeClock();
  const events: NewEvent[] = [];
  let handlers: NflogHandlers | undefined;
  let closed = false;
  const stop = new AbortController();
  const task = watchDenials({
    emit: async (event) => void events.push(event),
    clock,
    log: createLogger({ name: 'test', level: 'silent' }),
    plans: () => [plan],
    open: (own) => {
      handlers = own;
      return { counts: () => ({ received: 0, lost: 0, overruns: 0 }), close: () => void (closed = true) };
    },
  })(stop.signal);
  handlers?.packet(packet());
  handlers?.lost(41);
  handlers?.lost(1);
  assert.equal(events.length, 0);
  await clock.advance(1_000);
  assert.deepEqual(
    events.map(({ activity, data }) => [activity, data['count'], data['lost'] ?? 0]),
    [
      ['deny', 1, 0],
      ['lost', 42, 42],
    ],
  );
  handlers?.packet(packet());
  stop.abort();
  await task;
  assert.equal(events.length, 3);
  assert.ok(closed);
});

test('a log that fails ends the task with a code, after what was known is emitted', async () => {
  const clock = new FakeClock();
  const events: NewEvent[] = [];
  let handlers: NflogHandlers | undefined;
  const task = watchDenials({
    emit: async (event) => void events.push(event),
    clock,
    log: createLogger({ name: 'test', level: 'silent' }),
    plans: () => [],
    open: (own) => {
      handlers = own;
      return { counts: () => ({ received: 0, lost: 0, overruns: 0 }), close: () => {} };
    },
  })(new AbortController().signal);
  handlers?.packet(packet());
  handlers?.fault(new Error('gone'));
  const refused = assert.rejects(task, { code: 'FIREWALL_LOG' });
  await clock.advance(1_000);
  await refused;
  assert.equal(total(events), 1);
});
