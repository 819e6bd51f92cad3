// Metering: the module computes what it computed, pays for all of it, and what cannot be metered is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { hours } from '../testing/sample-rego.ts';
import { constant, i32, moduleOf, type ModuleParts } from '../testing/wasm-module.ts';
import { fuelExport, meterModule } from './metered-module.ts';
import { bytesOf } from './wasm-bytes.ts';

const fuel = 100_000;
const op = { block: 0x02, loop: 0x03, if: 0x04, end: 0x0b, br: 0x0c, brIf: 0x0d, call: 0x10 } as const;
const none = 0x40;

function start(module: Uint8Array): { readonly run: () => unknown; readonly used: () => number } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(meterModule(module, fuel)), { env: { memory } });
  const meter = exports[fuelExport] as WebAssembly.Global;
  const evaluate = exports['opa_eval'] as (...parameters: number[]) => number;
  return { run: () => evaluate(0, 0, 0, 0, 0, 0, 0), used: () => fuel - Number(meter.value) };
}

const refusal = (module: Uint8Array): string => {
  try {
    meterModule(module, fuel);
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof CodedError && error.code === 'ENGINE_REGO_MODULE', String(error));
    return error.message;
  }
};

/** local 7 counts down from `turns`; each turn runs `inner`, then the answer is 42. */
const counted = (turns: number, inner: Uint8Array = new Uint8Array()): ModuleParts => ({
  locals: [[1, i32]],
  body: bytesOf(
    constant(turns),
    [0x21, 7, op.loop, none],
    inner,
    [0x20, 7, 0x41, 1, 0x6b, 0x22, 7, op.brIf, 0, op.end],
    constant(42),
  ),
});

test('meter: every turn of a loop is paid for, and the answer stays', () => {
  const costs = [10, 20, 30].map((turns) => {
    const { run, used } = start(moduleOf(counted(turns)));
    assert.equal(run(), 42);
    return used();
  });
  const [ten = 0, twenty = 0, thirty = 0] = costs;
  assert.equal(twenty - ten, thirty - twenty);
  // local.get, i32.const, i32.sub, local.tee, br_if and the end of the loop, at least.
  assert.ok(twenty - ten >= 60, `${twenty - ten}`);
});

test('meter: growing memory costs what it takes', () => {
  const grow = bytesOf(constant(0), [0x40, 0, 0x1a]);
  const [without = 0, once = 0] = [new Uint8Array(), grow].map((inner) => {
    const { run, used } = start(moduleOf(counted(10, inner)));
    run();
    return used();
  });
  assert.ok(once - without > 10 * 500, `${once - without}`);
});

test('meter: what runs for ever traps when the fuel is used up', () => {
  const endless: Record<string, ModuleParts> = {
    loop: { body: [op.loop, none, op.br, 0, op.end, 0x41, 0] },
    'loop in a block': { body: [op.block, none, op.loop, none, op.br, 0, op.end, op.end, 0x41, 0] },
    'loop with a result': { body: bytesOf([op.loop, i32, op.br, 0, op.end]) },
    'a loop that a loop begins again': counted(0x3fff_ffff, bytesOf([op.loop, none, op.end])),
    recursion: {
      body: bytesOf(
        ...Array.from({ length: 7 }, () => constant(0)),
        [op.call, 0, 0x1a],
        ...Array.from({ length: 7 }, () => constant(0)),
        [op.call, 0],
      ),
    },
  };
  for (const [name, parts] of Object.entries(endless)) {
    const { run, used } = start(moduleOf(parts));
    assert.throws(run, (error) => error instanceof RangeError || error instanceof WebAssembly.RuntimeError, name);
    // A recursion may meet the end of the stack first.
    if (name !== 'recursion') assert.ok(used() > fuel, name);
  }
});

test('meter: nothing may run, no memory be reached, no table be grown past the meter', () => {
  const wrong: [parts: ModuleParts, message: RegExp][] = [
    [{ body: [0xfc, 0x0b, 0] }, /bulk memory/],
    [{ body: [0xfc, 0x0f, 0] }, /bulk memory/],
    [{ body: [0x06, none, 0x0b] }, /0x6 is not accepted/],
    [{ body: [0x12, 0] }, /0x12 is not accepted/],
    [{ body: [0x14, 0] }, /0x14 is not accepted/],
    [{ body: [0x1c, 1, i32] }, /0x1c is not accepted/],
    [{ body: [0x25, 0] }, /0x25 is not accepted/],
    [{ body: [0xd0, 0x70] }, /0xd0 is not accepted/],
    [{ body: [0xfd, 0] }, /0xfd is not accepted/],
    [{ body: [0xfe, 0] }, /0xfe is not accepted/],
    [{ body: [op.block, 0x63, 0x70, op.end] }, /value type 0x63 is not accepted/],
    [{ body: [op.block, 0x80, 0x01, op.end] }, /value type 0x80 is not accepted/],
    [{ body: [0x41, 0, 0x28, 0x42, 1, 0] }, /another memory/],
    [{ body: [0x3f, 1] }, /another memory/],
    [{ locals: [[1, 0x63, 0x70]] }, /value type 0x63/],
    [{ locals: [[1, 0x7b]] }, /value type 0x7b/],
    [{ ownMemory: [1, 0, 1] }, /a memory of its own/],
    [{ table: [1, 0x70, 0, 0x80, 0x80, 0x80, 0x08] }, /a table of 16777216 functions/],
    [{ table: [2, 0x70, 0, 1, 0x70, 0, 1] }, /more than one table/],
    [{ table: [1, 0x6f, 0, 1] }, /something else than functions/],
    [{ body: [op.end, op.end, 0x41, 0] }, /after the end of its function/],
  ];
  for (const [parts, message] of wrong) assert.match(refusal(moduleOf(parts)), message);
  const good = moduleOf();
  assert.equal(refusal(good), 'accepted');
  assert.match(refusal(bytesOf(good, [13, 1, 0])), /section 13 is unknown/);
  assert.match(refusal(bytesOf(good, [5, 1, 0])), /section 5 is unknown, or out of order/);
  assert.match(refusal(Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0)), /not a WebAssembly 1.0 module/);
});

test('meter: a module cannot reach the meter, nor export another under its name', () => {
  // Global 2 is the meter once it is added; before that the module is not valid.
  assert.equal(WebAssembly.validate(moduleOf({ body: bytesOf(constant(9), [0x24, 2], constant(0)) })), false);
  const named = meterModule(moduleOf({ evalName: fuelExport }), fuel);
  assert.equal(WebAssembly.validate(named), false);
});

test('meter: what opa compiled stays valid and loses names and producers alone', () => {
  const metered = meterModule(hours.wasm, fuel);
  assert.ok(WebAssembly.validate(metered));
  const names = (module: Uint8Array): string[] =>
    WebAssembly.Module.imports(new WebAssembly.Module(new Uint8Array(module))).map(({ name }) => name);
  assert.deepEqual(names(metered), names(hours.wasm));
});

test('meter: damaged modules are refused or stay what WebAssembly refuses, and nothing hangs', () => {
  const module = moduleOf(counted(3));
  fc.assert(
    fc.property(fc.nat(module.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(3), (at, change, cut) => {
      const damaged = Uint8Array.from(module.subarray(0, module.length - cut));
      damaged[Math.min(at, damaged.length - 1)]! ^= change;
      let metered: Uint8Array;
      try {
        metered = meterModule(damaged, fuel);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code === 'ENGINE_REGO_MODULE', String(error));
        return;
      }
      // Metering mends nothing: a module that was not valid is checked before (opa-module.ts) and has to stay out.
      if (WebAssembly.validate(damaged)) assert.ok(WebAssembly.validate(metered));
    }),
    { numRuns: 3_000 },
  );
});
