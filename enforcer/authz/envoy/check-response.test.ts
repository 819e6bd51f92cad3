// Answers to Envoy, read by an independent decoder (protobuf-es) by Envoy's rule.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Decision, Reason } from '../../../policy/engine/index.ts';
import { type CheckResponse, CheckResponseSchema } from '../../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { Answer } from '../question.ts';
import { checkResponse, faultResponse } from './check-response.ts';
import { readVerdict } from './read-verdict.ts';

const bundle = 'ab'.repeat(32);
const allow: Decision = { allow: true, reason: 'granted', rule: 'grant:a', place: '', operation: 'view', bundle };
const deny = (reason: Reason): Decision => ({ ...allow, allow: false, reason, rule: '' });
const read = (answer: Answer): CheckResponse => fromBinary(CheckResponseSchema, checkResponse(answer));
/** Envoy's rule: status.code 0 or absent allows, whatever else is set. */
const allows = ({ status }: CheckResponse): boolean => (status?.code ?? 0) === 0;

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 300 }));
const reasons: Reason[] = ['state', 'denied', 'no-grant', 'fault', 'ambiguous'];

test('only an allow of the engine is read as an allow, for any answer', () => {
  const seen = { allow: 0, deny: 0 };
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom(...reasons),
      text,
      text,
      text,
      (allowed, reason, subject, rule, place) => {
        const decision = allowed ? { ...allow, rule, place } : { ...deny(reason), rule, place };
        const bytes = checkResponse({ decision, subject });
        seen[allowed ? 'allow' : 'deny']++;
        assert.equal(allows(fromBinary(CheckResponseSchema, bytes)), allowed);
        assert.equal(readVerdict(bytes), allowed ? 'allow' : 'deny');
      },
    ),
    { numRuns: 2_000 },
  );
  assert.ok(seen.allow > 500 && seen.deny > 500);
});

test('a denial says who is forbidden and who is not known, to Envoy and to the client', () => {
  const forbidden = read({ decision: deny('no-grant'), subject: 'gateway-1' });
  assert.deepEqual([forbidden.status?.code, forbidden.status?.message], [7, 'no-grant']);
  assert.equal(forbidden.httpResponse.case, 'deniedResponse');
  assert.deepEqual([forbidden.httpResponse.value.status?.code, forbidden.httpResponse.value.body], [403, 'no-grant\n']);
  const unknown = read({ decision: deny('state'), subject: '' });
  assert.equal(unknown.httpResponse.case, 'deniedResponse');
  assert.deepEqual([unknown.status?.code, unknown.httpResponse.value.status?.code], [16, 401]);
});

test('identity headers are always all there, printable, and overwrite by both fields, empty ones too', () => {
  for (const decision of [allow, { ...deny('no-grant'), rule: 'a\r\nx: y' }]) {
    const { httpResponse } = read({ decision, subject: '' });
    assert.ok(httpResponse.case === 'okResponse' || httpResponse.case === 'deniedResponse');
    const { headers } = httpResponse.value;
    assert.deepEqual(
      headers.map((entry) => [entry.header?.key, entry.append, entry.appendAction, entry.keepEmptyValue]),
      ['x-edgeward-subject', 'x-edgeward-decision', 'x-edgeward-rule', 'x-edgeward-obligations'].map((key) => [
        key,
        false,
        2,
        true,
      ]),
    );
    assert.deepEqual(
      headers.map((entry) => entry.header?.value),
      decision.allow ? ['', 'allow', 'grant:a', ''] : ['', 'deny', 'a??x: y', ''],
    );
  }
});

test('what access logs may say comes as dynamic metadata', () => {
  const { dynamicMetadata } = read({ decision: allow, subject: 'gateway-1' });
  assert.deepEqual(dynamicMetadata, {
    subject: 'gateway-1',
    decision: 'allow',
    reason: 'granted',
    rule: 'grant:a',
    operation: 'view',
    bundle,
    obligations: '',
  });
});

test('an answer that cannot be built is the denial of last resort', () => {
  const broken = { ...allow, rule: undefined as unknown as string };
  assert.equal(readVerdict(checkResponse({ decision: broken, subject: 'a' })), 'allow', 'absent is empty');
  const thrower = {
    ...allow,
    get rule(): string {
      throw new Error('broken');
    },
  };
  assert.equal(checkResponse({ decision: thrower, subject: 'a' }), faultResponse);
  assert.equal(readVerdict(faultResponse), 'deny');
});

test('what Envoy would take for an allow is read as one', () => {
  // Of the policy note: empty; denied_response without status; status 0 beside a denial; error_response without status.
  for (const hex of ['', '12050a03089303', '0a02080012050a03089103', '2a00']) {
    assert.equal(readVerdict(Buffer.from(hex, 'hex')), 'allow', hex);
  }
  for (const hex of ['0a020807', '0a02081012050a03089103']) {
    assert.equal(readVerdict(Buffer.from(hex, 'hex')), 'deny', hex);
  }
});
