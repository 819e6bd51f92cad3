import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../runtime/errors.ts';
import { decodePosture, encodePosture, type Posture } from './posture.ts';
import { isStale, tierOf, worstTier } from './result.ts';

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
/** `assert.deepEqual` compares prototypes, too. */
const plain = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });
const posture: fc.Arbitrary<Posture> = plain({
  format: fc.constant(1 as const),
  deviceId: fc.stringMatching(/^[a-z0-9][a-zA-Z0-9._-]{0,30}$/),
  nonce: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  collectedAt: fc.nat(),
  program: plain({ digest: hex, version: fc.stringMatching(/^[ -~]{1,20}$/) }),
  bundle: fc.oneof(hex, fc.constant('')),
  executables: fc.dictionary(
    fc.string({ maxLength: 60 }).map((text) => `/${text}`),
    fc.oneof(hex, fc.constant('missing')),
    { maxKeys: 8, noNullPrototype: true },
  ),
  platform: plain({ os: fc.string({ maxLength: 60 }), kernel: fc.string({ maxLength: 100 }) }),
});
const invalid = { code: 'ATTEST_EVIDENCE_INVALID' };

describe('posture', () => {
  test('round trip; the text does not depend on the order of members', () => {
    fc.assert(
      fc.property(posture, (one) => {
        const bytes = encodePosture(one);
        assert.deepEqual(decodePosture(bytes), one);
        const turned = Object.fromEntries(Object.entries(one).toReversed()) as Posture;
        assert.ok(encodePosture(turned).equals(bytes));
      }),
    );
  });

  const good = fc.sample(posture, { numRuns: 1, seed: 7 })[0];
  assert.ok(good);
  const text = encodePosture(good).toString();
  const changed = (change: Record<string, unknown>) => JSON.stringify(sorted({ ...good, ...change }));
  const sorted = (value: unknown): unknown =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(
          Object.keys(value)
            .sort()
            .map((key) => [key, sorted((value as Record<string, unknown>)[key])]),
        );

  const cases: Readonly<Record<string, string>> = {
    empty: '',
    'not JSON': 'posture',
    'not an object': '[]',
    null: 'null',
    'with white space': ` ${text}`,
    'with bytes after it': `${text}\n`,
    'with a member twice': text.replace('{', '{"bundle":"",'),
    'with an unknown member': changed({ extra: 1 }),
    'of another format': changed({ format: 2 }),
    'without a nonce': changed({ nonce: undefined }),
    'with a short nonce': changed({ nonce: good.nonce.slice(1) }),
    'with a digest in capitals': changed({ bundle: 'AB'.repeat(32) }),
    'with a relative path': changed({ executables: { 'bin/sh': 'missing' } }),
    'with a path too long': changed({ executables: { [`/${'a'.repeat(512)}`]: 'missing' } }),
    'with a digest that is none': changed({ executables: { '/bin/sh': 'ok' } }),
    'with too many executables': changed({
      executables: Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`/${index}`, 'missing'])),
    }),
    'with a device id that is a path': changed({ deviceId: '../a' }),
    'collected at a fraction': changed({ collectedAt: 1.5 }),
    'collected before 1970': changed({ collectedAt: -1 }),
  };
  for (const [name, bad] of Object.entries(cases)) {
    test(`refuses evidence ${name}`, () => assert.throws(() => decodePosture(Buffer.from(bad)), invalid));
  }

  test('the cases above differ from good evidence only in what they name', () => {
    assert.deepEqual(decodePosture(Buffer.from(changed({}))), good);
  });

  test('any bytes are answered with a posture or a coded error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (garbage) => {
        assert.throws(() => decodePosture(Buffer.from(garbage)), CodedError);
      }),
    );
    assert.throws(() => decodePosture(Buffer.from([0x22, 0xff, 0x22])), invalid);
  });
});

describe('tiers', () => {
  test('are those of AR4SI', () => {
    const codes = [-1, 0, 1, 2, 31, 32, 95, 96, 99];
    assert.deepEqual(codes.map(tierOf), [
      'none',
      'none',
      'none',
      'affirming',
      'affirming',
      'warning',
      'warning',
      'contraindicated',
      'contraindicated',
    ]);
  });

  test('the worst claim wins, and a claim that says nothing neither helps nor harms', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 2, 32, 33, 96), { maxLength: 6 }), (codes) => {
        const tiers = new Set(codes.map(tierOf));
        const expected = (['contraindicated', 'warning', 'affirming'] as const).find((tier) => tiers.has(tier));
        assert.equal(worstTier(codes), expected ?? 'none');
      }),
    );
  });
});

describe('staleness', () => {
  test('begins after the age that was asked for, and for results from the future', () => {
    const result = { appraisedAt: 1_000_000 };
    assert.equal(isStale(result, 1_000_000, 900), false);
    assert.equal(isStale(result, 1_000_900, 900), false);
    assert.equal(isStale(result, 1_000_901, 900), true);
    assert.equal(isStale(result, 1_000_000 - 5_000, 900), false);
    assert.equal(isStale(result, 1_000_000 - 5_001, 900_000), true);
  });
});
