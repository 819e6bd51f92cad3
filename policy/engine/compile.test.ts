// What does not compile, with the place of the mistake: a rule that names nothing would silently do nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, formatPlace } from '../../runtime/errors.ts';
import { compileSlice } from './engine.ts';
import { placeOf } from './errors.ts';
import { casbinModel, meta, sampleSlice, type LooseSlice } from './testing/sample-slice.ts';

function refusal(change: (slice: LooseSlice) => void): string {
  try {
    compileSlice(sampleSlice(change), meta);
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return `${error.code} ${error.place === undefined ? '' : formatPlace(error.place)}: ${error.message}`;
  }
  return 'compiled';
}

const edit = (list: object[], index: number, change: object): void => {
  list[index] = { ...list[index], ...change };
};

test('compile: names that do not exist, and names that exist twice', () => {
  const rows: [(slice: LooseSlice) => void, RegExp][] = [
    [
      (slice) => edit(slice.grants, 0, { interface: 'gone' }),
      /^ENGINE_SLICE_INVALID grants\/all.yaml:5: reads names interface gone/,
    ],
    [
      (slice) => edit(slice.grants, 0, { operations: ['gone'] }),
      /^ENGINE_SLICE_INVALID grants\/all.yaml:5: reads names operation gone/,
    ],
    [
      (slice) => edit(slice.denies, 0, { operations: ['gone'] }),
      /^ENGINE_SLICE_INVALID grants\/deny.yaml:3: no-secrets names operation/,
    ],
    [(slice) => edit(slice.denies, 0, { device: 'plc-9' }), /^ENGINE_SLICE_INVALID grants\/deny.yaml:3: .* of plc-9/],
    [
      (slice) => slice.interfaces.push(slice.interfaces[0] ?? {}),
      /^ENGINE_SLICE_INVALID interfaces\/plc.yaml:10: interface plc-modbus of plc-1 appears twice/,
    ],
    [(slice) => edit(slice.interfaces, 2, { casbin: 'gone' }), /^ENGINE_SLICE_INVALID .*: Casbin model gone/],
    [(slice) => slice.casbin.push(...slice.casbin), /^ENGINE_SLICE_INVALID casbin\/app\/model.conf:1: .*twice/],
    [
      (slice) => edit(slice.interfaces, 4, { protocol: 'port' }),
      /^ENGINE_SLICE_INVALID .*: operation all is http, the interface port/,
    ],
  ];
  for (const [change, expected] of rows) assert.match(refusal(change), expected);
  assert.equal(
    refusal(() => undefined),
    'compiled',
  );
});

test('compile: a Casbin model that cannot be asked or expressed is refused with its own file and line', () => {
  const model = (text: string) => (slice: LooseSlice) => edit(slice.casbin, 0, { model: text });
  assert.match(
    refusal(model(casbinModel.replace('r = sub, obj, act', 'r = sub, obj, act, mood'))),
    /^ENGINE_CASBIN_UNSUPPORTED casbin\/app\/model.conf: request field mood/,
  );
  assert.match(
    refusal(model(casbinModel.replace('keyMatch2', 'keyGet2'))),
    /^ENGINE_CASBIN_MATCHER casbin\/app\/model.conf:8:\d+: unknown function keyGet2/,
  );
  assert.match(
    refusal((slice) => edit(slice.casbin, 0, { policy: '\np, a, /b, GET' })),
    /^ENGINE_CASBIN_POLICY casbin\/app\/policy.csv:2: p has 4 columns/,
  );
});

test('compile: a path pattern that is not canonical is refused at its interface', () => {
  const wrong = (slice: LooseSlice): void =>
    edit(slice.interfaces, 4, {
      operations: [
        { name: 'all', protocol: 'http', methods: ['GET'], paths: ['/a/../b'], class: 'normal', island: false },
      ],
    });
  assert.match(refusal(wrong), /^ENGINE_PATH_PATTERN interfaces\/plc.yaml:5: path "\/a\/..\/b": dot segment/);
});

test('compile: a failed compilation and a changed slice leave the engine in force as it was', () => {
  const slice = sampleSlice();
  const engine = compileSlice(slice, meta);
  slice.grants.length = 0;
  slice.interfaces.length = 0;
  assert.throws(() => compileSlice({ ...slice, casbin: [...slice.casbin, ...slice.casbin] }, meta));
  assert.equal(engine.explain({ ...base() }).decision.reason, 'granted');
});

function base(): Parameters<ReturnType<typeof compileSlice>['decide']>[0] {
  return {
    subject: { id: 'gateway-1', binding: 'svid', state: 'trusted', attributes: {} },
    operation: { protocol: 'http', method: 'GET', path: '/status' },
    resource: { interface: 'web', attributes: {} },
    context: { time: meta.softExpiry - 1, source: 'test', connection: '', attributes: {} },
  };
}

test('place: file and line, or a file alone', () => {
  assert.deepEqual(placeOf('grants/a.yaml:12'), { file: 'grants/a.yaml', line: 12 });
  assert.deepEqual(placeOf('grants/a.yaml'), { file: 'grants/a.yaml' });
  assert.deepEqual(placeOf('a:b'), { file: 'a:b' });
});
