import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError, formatPlace } from '../../runtime/errors.ts';
import { createDetector, type ObservedEvent } from './detector.ts';
import { wildcard } from './sigma-match.ts';

const start = 1_800_000_000_000;

function packet(index: number, data: ObservedEvent['data'], seconds = 0): ObservedEvent {
  const time = start + seconds * 1000;
  return {
    index,
    reporter: 'plc-1',
    receivedAt: time + 50,
    time,
    kind: 'packet',
    activity: 'deny',
    severity: 'medium',
    data,
  };
}

const denied = `
title: Denied packet
id: denied-packet
level: low
logsource: {product: edgeward, service: packet}
detection:
  denied: {activity: deny}
  condition: denied
`;
const scan = `
title: Port scan
id: port-scan
level: high
tags: [attack.discovery, attack.t0846]
correlation:
  type: value_count
  rules: [denied-packet]
  group-by: [subject]
  timespan: 10s
  condition: {gte: 5, field: destination_port}
`;
const write = `
title: Refused write to a PLC
id: refused-plc-write
level: critical
logsource: {product: edgeward, service: modbus}
detection:
  refused: {decision: deny, function_code: [5, 6, 15, 16, 22, 23]}
  condition: refused
`;

test('a port scan is found by its distinct ports within the window, and only then', () => {
  const detector = createDetector({ 'denied.yml': denied, 'scan.yml': scan });
  const ports = (from: number, count: number, every: number) =>
    Array.from({ length: count }, (_, n) => packet(n, { subject: 'gateway-1', destination_port: from + n }, n * every));
  assert.deepEqual(
    ports(1000, 4, 1).flatMap((event) => detector.observe(event)),
    [],
  );
  const [found, ...more] = detector.observe(packet(4, { subject: 'gateway-1', destination_port: 1004 }, 4));
  assert.equal(more.length, 0);
  assert.deepEqual(
    {
      rule: found?.ruleId,
      device: found?.device,
      reporter: found?.reporter,
      count: found?.count,
      evidence: found?.evidence,
    },
    { rule: 'port-scan', device: 'gateway-1', reporter: 'plc-1', count: 5, evidence: [0, 1, 2, 3, 4] },
  );
  const slow = createDetector({ 'denied.yml': denied, 'scan.yml': scan });
  assert.deepEqual(
    ports(1000, 20, 3).flatMap((event) => slow.observe(event)),
    [],
    'five ports in 15 s are not a scan',
  );
  const one = createDetector({ 'denied.yml': denied, 'scan.yml': scan });
  assert.deepEqual(
    Array.from({ length: 50 }, (_, n) =>
      one.observe(packet(n, { subject: 'gateway-1', destination_port: 502 })),
    ).flat(),
    [],
    'one port fifty times is not a scan',
  );
});

test('an aggregated event weighs as many as it stands for', () => {
  const burst = scan
    .replace('port-scan', 'burst')
    .replace('value_count', 'event_count')
    .replace(', field: destination_port', '');
  const detector = createDetector({ 'denied.yml': denied, 'burst.yml': burst });
  assert.equal(detector.observe(packet(0, { subject: 'gateway-1', count: 4 })).length, 0);
  assert.equal(detector.observe(packet(1, { subject: 'gateway-1', count: 1 }))[0]?.count, 5);
});

test('a refused write is found at once, a refused read is not', () => {
  const detector = createDetector({ 'write.yml': write });
  const modbus = (functionCode: number, decision: string): ObservedEvent => ({
    ...packet(7, { subject: 'gateway-1', decision, function_code: functionCode }),
    kind: 'modbus',
  });
  assert.equal(detector.observe(modbus(6, 'deny'))[0]?.level, 'critical');
  assert.equal(detector.observe(modbus(3, 'deny')).length, 0);
  assert.equal(detector.observe(modbus(6, 'allow')).length, 0);
});

test('a forged source address accuses its reporter, never the address', () => {
  const detector = createDetector({ 'denied.yml': denied });
  const [found] = detector.observe(packet(1, { subject: 'hmi-1', rule: 'spoofed', destination_port: 1 }));
  assert.deepEqual({ device: found?.device, attributed: found?.attributed }, { device: 'plc-1', attributed: false });
});

test('late evidence is marked retro', () => {
  const detector = createDetector({ 'write.yml': write });
  const event = { ...packet(1, { decision: 'deny', function_code: 6 }), kind: 'modbus' };
  assert.equal(detector.observe(event)[0]?.retro, false);
  assert.equal(detector.observe({ ...event, receivedAt: event.time + 3_600_000 })[0]?.retro, true);
});

test('conditions: and, or, not, parentheses, quantifiers', () => {
  const rule = (condition: string): string => `
title: t
id: t
level: low
logsource: {product: edgeward}
detection:
  a1: {x: 1}
  a2: {y|startswith: ab}
  b: {z|contains|all: [q, r]}
  _skip: {x: 9}
  condition: ${condition}
`;
  const hits = (condition: string, data: ObservedEvent['data']): number =>
    createDetector({ 't.yml': rule(condition) }).observe(packet(0, data)).length;
  assert.equal(hits('a1 and not b', { x: 1, z: 'only q' }), 1);
  assert.equal(hits('a1 and not b', { x: 1, z: 'q and r' }), 0);
  assert.equal(hits('1 of a*', { y: 'ABC' }), 1);
  assert.equal(hits('all of a*', { y: 'abc' }), 0);
  assert.equal(hits('all of them', { x: 1, y: 'abc', z: 'rq' }), 1);
  assert.equal(hits('(a1 or a2) and b', { y: 'ab', z: 'r q' }), 1);
});

test('what is not evaluated is refused with its place', () => {
  const refused = (text: string, at: string, others: Record<string, string> = {}): void => {
    assert.throws(
      () => createDetector({ ...others, 'bad.yml': text }),
      (error) => {
        assert.ok(error instanceof CodedError && error.place !== undefined, text);
        assert.equal(formatPlace(error.place), `bad.yml:${at}`, `${error.message} in ${text}`);
        return true;
      },
    );
  };
  refused(denied.replace('condition: denied', 'condition: nothing'), '8:14');
  refused(denied.replace('condition: denied', 'condition: denied and'), '8:14');
  refused(denied.replace('activity: deny', 'activity|base64: deny'), '7:29');
  refused(denied.replace('activity: deny', 'activity|re: "(?<=x)y"'), '7:25');
  refused(denied.replace('activity: deny', 'source_ip|cidr: 10.0.0.0/99'), '7:28');
  refused(denied.replace('{activity: deny}', '[{activity: deny}, {count|gt: many}]'), '7:41');
  refused(denied.replace('{activity: deny}', '{activity: {is: deny}}'), '7:11');
  refused(denied.replace('level: low', 'level: loud'), '4:8');
  refused(denied.replace('title:', 'titel:'), '2:1');
  refused(denied.replace('product: edgeward', 'product: windows'), '5:22');
  refused(scan.replace('denied-packet', 'nobody'), '8:11');
  refused(scan.replace('gte: 5, ', ''), '11:14', { 'denied.yml': denied });
});

test('wildcards agree with a naive matcher', () => {
  const naive = (pattern: string, text: string): boolean => {
    if (pattern === '') return text === '';
    const rest = pattern.slice(1);
    if (pattern[0] === '*') return naive(rest, text) || (text !== '' && naive(pattern, text.slice(1)));
    return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && naive(rest, text.slice(1));
  };
  const letters = (alphabet: string, maxLength: number) =>
    fc.array(fc.constantFrom(...alphabet.split('')), { maxLength }).map((list) => list.join(''));
  let matched = 0;
  fc.assert(
    fc.property(letters('ab*?', 7), letters('ab', 9), (pattern, text) => {
      if (naive(pattern, text)) matched++;
      return wildcard(pattern, true)(text) === naive(pattern, text);
    }),
    { numRuns: 3000 },
  );
  assert.ok(matched > 300, `only ${matched} patterns matched`);
});
