// A Rego package on the engine: only a well-formed decision with nothing in `deny` allows, whatever the module does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError, formatPlace } from '../../../runtime/errors.ts';
import { MAX_REGO_DENIES, MAX_REGO_FUEL } from '../limits.ts';
import { hours, trial } from '../testing/sample-rego.ts';
import { constant, functionImport, i32, moduleOf, type ModuleParts } from '../testing/wasm-module.ts';
import { compileRego, type RegoVerdict } from './rego-package.ts';
import { bytesOf } from './wasm-bytes.ts';

const asked = compileRego(trial);
const kindOf = (verdict: RegoVerdict): string => (verdict.allow ? 'allow' : verdict.kind);
const answered = (answer: unknown): string => kindOf(asked.decide({ answer }));
const long = 'x'.repeat(600);

test('rego: an empty deny set or list allows, and nothing else does', () => {
  assert.equal(answered({ deny: [] }), 'allow');
  assert.deepEqual(asked.decide({ answer: { deny: ['late', 'risky'] } }), {
    allow: false,
    kind: 'denied',
    why: 'late; risky',
  });
  assert.equal(kindOf(asked.decide({})), 'undefined');
  const malformed = [
    true,
    1,
    'allow',
    [],
    null,
    [{ deny: [] }],
    {},
    { allow: true },
    { deny: null },
    { deny: false },
    { deny: {} },
    { deny: '' },
    { deny: [1] },
    { deny: [null] },
    { deny: [long] },
    { deny: Array.from({ length: MAX_REGO_DENIES + 1 }, (_, index) => `${index}`) },
    { deny: [], allow: true },
    { deny: [], obligations: [{ id: 'unheard-of' }] },
  ];
  for (const answer of malformed) assert.equal(answered(answer), 'malformed', JSON.stringify(answer));
});

test('rego: obligations that are known come with the allow, others deny', () => {
  const asking = (obligations: unknown): unknown => asked.decide({ answer: { deny: [], obligations } });
  const known = [{ id: 'log' }, { id: 'step-up', level: 'badge' }];
  assert.deepEqual(asking(known), { allow: true, obligations: known });
  assert.deepEqual(asking([]), { allow: true, obligations: [] });
  const many = Array.from({ length: 17 }, () => ({ id: 'log' }));
  for (const wrong of [
    null,
    'log',
    {},
    ['log'],
    [{ id: 'log', more: 1 }],
    [{ id: 'pray' }],
    [{ id: 'step-up' }],
    many,
  ]) {
    const verdict = asked.decide({ answer: { deny: [], obligations: wrong } });
    assert.equal(kindOf(verdict), 'malformed', JSON.stringify(wrong));
  }
  assert.equal(kindOf(asked.decide({ answer: { deny: ['no'], obligations: known } })), 'denied');
});

test('rego: a set of the language is a deny set', () => {
  const noon = { context: { time: 43_200_000 }, operation: { method: 'GET' }, subject: { attributes: {} } };
  const panel = compileRego(hours);
  assert.deepEqual(panel.decide(noon), { allow: true, obligations: [] });
  assert.deepEqual(panel.decide({ ...noon, context: { time: 0 }, operation: { method: 'PUT' } }), {
    allow: false,
    kind: 'denied',
    why: 'only reading without an affirming appraisal; outside the hours of the shift',
  });
});

test('rego: any answer whatever is an allow only in the one shape', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.record({ deny: fc.oneof(fc.constant([]), fc.jsonValue({ maxDepth: 1 })) }),
      ),
      (answer) => {
        const isEmptyDeny = JSON.stringify(answer) === '{"deny":[]}';
        assert.equal(asked.decide({ answer }).allow, isEmptyDeny, JSON.stringify(answer));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('rego: a computation without end is a fault, the next question is answered', () => {
  assert.equal(kindOf(asked.decide({ turns: 20 })), 'denied');
  const used = asked.fuelUsed();
  const endless = asked.decide({ turns: 100_000 });
  assert.deepEqual(endless, { allow: false, kind: 'fault', why: `more than ${MAX_REGO_FUEL} instructions` });
  assert.equal(answered({ deny: [] }), 'allow');
  asked.decide({ turns: 20 });
  assert.equal(asked.fuelUsed(), used);
});

test('rego: a conflict of rules is a fault with what opa says of it', () => {
  const verdict = asked.decide({ answer: { deny: [] }, other: { deny: ['x'] } });
  assert.equal(kindOf(verdict), 'fault');
  assert.match(verdict.allow ? '' : verdict.why, /trial\.rego:\d+:\d+: var assignment conflict/);
});

test('rego: questions do not leak into each other, and memory does not grow', () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let turn = 0; turn < 2_000; turn++) {
    assert.equal(answered({ deny: [`${turn}`, 'x'.repeat(turn % 500)] }), 'denied');
    assert.equal(kindOf(asked.decide({})), 'undefined');
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
});

test('rego: an input beyond the bound is a fault, whatever the package would say', () => {
  const verdict = asked.decide({ answer: { deny: [] }, context: 'x'.repeat(70_000) });
  assert.equal(kindOf(verdict), 'fault');
});

test('rego: a text with U+0000 is a fault, a text that only speaks of it is not', () => {
  for (const context of ['a\u0000b', '\\\u0000', { 'a\u0000': 1 }]) {
    assert.equal(kindOf(asked.decide({ answer: { deny: [] }, context })), 'fault', JSON.stringify(context));
  }
  assert.equal(kindOf(asked.decide({ answer: { deny: [] }, context: 'a\\u0000b' })), 'allow');
  assert.throws(() => compileRego({ ...trial, data: '{"trial": {"text": "a\\u0000"}}' }), { code: 'ENGINE_REGO_DATA' });
});

test('rego: a thousand devices with one package start it once, and as many packages hold few', () => {
  const one = compileRego({ ...hours });
  for (let device = 0; device < 1_000; device++) assert.equal(compileRego({ ...hours }), one);
  // Content, name, data and place each make another package.
  const others = [{ data: '{"hours":{"shifts":[]}}' }, { place: 'rego/hours/hours.rego:9' }, { wasm: moduleOf() }];
  for (const other of others) assert.notEqual(compileRego({ ...hours, ...other, name: 'trial' }), one);
  for (let count = 0; count < 100; count++) compileRego({ ...trial, wasm: moduleOf({ answer: `[${count}]` }) });
  assert.notEqual(compileRego({ ...hours }), one);
});

const compile = (parts: ModuleParts) => compileRego({ ...trial, wasm: moduleOf(parts) });
const refusal = (source: Partial<typeof trial>): string => {
  try {
    compileRego({ ...trial, ...source });
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return `${error.code} ${error.place === undefined ? '' : formatPlace(error.place)} ${error.message}`;
  }
};

test('rego: a module that runs into something denies, again and again', () => {
  const outside = 'outside its memory';
  const wrong: [name: string, parts: ModuleParts, why: string][] = [
    ['endless loop', { body: [0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 0] }, `more than ${MAX_REGO_FUEL}`],
    ['trap', { body: [0x00] }, 'unreachable'],
    ['address past the end', { body: constant(0x3fff_ffff) }, outside],
    ['negative address', { body: [0x41, 0x7f] }, outside],
    ['text without end', { body: constant(512), answer: `["${'x'.repeat(63_000)}` + 'x'.repeat(70_000) }, outside],
    ['no JSON', { answer: 'allow' }, 'not valid JSON'],
    ['two results', { answer: '[{"result": {"deny": []}}, {"result": {"deny": []}}]' }, 'several results'],
    ['no result set', { answer: '{"deny": []}' }, 'no result set'],
  ];
  assert.equal(kindOf(compile({}).decide({})), 'allow');
  for (const [name, parts, why] of wrong) {
    const wild = compile({ memory: [0, 4], ...parts });
    for (let turn = 0; turn < 3; turn++) {
      const verdict = wild.decide({});
      assert.ok(!verdict.allow && verdict.why.includes(why), `${name}: ${JSON.stringify(verdict)}`);
    }
  }
});

test('rego: nothing that a module did before it trapped is there for the next question', () => {
  // The first time it notes that it was asked, and traps; with that note it would allow.
  const once = compile({
    globals: [[i32, 1, 0x41, 0, 0x0b]],
    body: bytesOf([0x23, 2, 0x04, i32], constant(512), [0x05, 0x41, 1, 0x24, 2, 0x00, 0x0b]),
  });
  for (let turn = 0; turn < 3; turn++) assert.equal(kindOf(once.decide({})), 'fault');
});

test('rego: memory is bounded: growing it fails, a module that wants more does not start', () => {
  // memory.grow(1), and the answer only when that failed: -1 is all ones.
  const grows = compile({
    body: bytesOf([0x41, 1, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, i32], constant(512), [0x05, 0x00, 0x0b]),
  });
  assert.equal(kindOf(grows.decide({})), 'allow');
  assert.match(refusal({ wasm: moduleOf({ memory: [0, 0x81, 2] }) }), /16 MiB/);
  assert.match(refusal({ wasm: moduleOf({ memory: [1, 1, 2] }) }), /16 MiB/);
});

test('rego: what opa did not write for this engine is refused with its place', () => {
  const wrong: [source: Partial<typeof trial>, message: RegExp][] = [
    [{ wasm: new Uint8Array() }, /not a valid WebAssembly module/],
    [{ wasm: trial.wasm.subarray(0, 90_000) }, /not a valid WebAssembly module/],
    [{ wasm: new Uint8Array(2 * 1024 * 1024 + 1) }, /2097153 bytes; at most/],
    [{ wasm: moduleOf({ imports: [functionImport('env', 'opa_now')] }) }, /imports function env.opa_now/],
    [{ wasm: moduleOf({ imports: [functionImport('wasi', 'opa_abort')] }) }, /imports function wasi.opa_abort/],
    [{ wasm: moduleOf({ imports: [[3, 0x65, 0x6e, 0x76, 1, 0x67, 3, i32, 0]] }) }, /imports global env.g/],
    [{ wasm: moduleOf({ evalName: 'opa_evil' }) }, /does not export opa_eval/],
    [{ wasm: moduleOf({ builtins: '{"http.send": 0}' }) }, /needs http.send, which the engine does not have/],
    [{ wasm: moduleOf({ start: [0x03, 0x40, 0x0c, 0, 0x0b] }) }, /cannot be started/],
    [{ wasm: moduleOf({ start: [0x00] }) }, /cannot be started/],
    [{ data: '[' }, /data\.json: /],
  ];
  for (const [source, message] of wrong) {
    const found = refusal(source);
    assert.match(found, message);
    assert.match(found, /^ENGINE_REGO_(MODULE|DATA) rego\/trial\/trial\.rego:4 Rego package trial: /);
  }
});

test('rego: data beyond the memory is refused before anything is asked', () => {
  const data = JSON.stringify({ trial: { many: Array.from({ length: 400_000 }, (_, index) => ({ index })) } });
  assert.match(refusal({ data }), /^ENGINE_REGO_DATA/);
});

test('rego: random bytes in place of a module never get further than a refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.match(refusal({ wasm: bytes }), /^ENGINE_REGO_MODULE/);
    }),
  );
});

test('rego: a damaged module is refused or denies, and never throws', () => {
  const good = moduleOf();
  fc.assert(
    fc.property(fc.integer({ min: 8, max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Uint8Array.from(good);
      damaged[at]! ^= change;
      let found;
      try {
        found = compileRego({ ...trial, wasm: damaged });
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
        return;
      }
      assert.equal(typeof found.decide({}).allow, 'boolean');
    }),
    { numRuns: 1_000 },
  );
});
