import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError } from '../../runtime/errors.ts';
import { asCodedError, fromErrorDetail, toErrorDetail } from './error-detail.ts';

const place = { file: 'grants/a.yaml', line: 4, column: 2 };
const error = new CodedError('BUNDLE_MIXED', { status: 'INVALID_ARGUMENT', remedy: 'Build again' }, 'mixed', { place });

test('code, message, remedy and place cross the wire', () => {
  const back = fromErrorDetail(toErrorDetail(error));
  assert.deepEqual([back.code, back.message, back.remedy, back.place], ['BUNDLE_MIXED', 'mixed', 'Build again', place]);
});

test('a place without line or column comes back without', () => {
  const bare = new CodedError('A', { status: 'INTERNAL', remedy: '' }, '', { place: { file: 'x' } });
  assert.deepEqual(fromErrorDetail(toErrorDetail(bare)).place, { file: 'x' });
});

test('what the other end says is bounded, and a code is a code', () => {
  const detail = toErrorDetail(error);
  detail.code = 'not a code\u001b[31m';
  detail.message = 'x'.repeat(10_000);
  const back = fromErrorDetail(detail);
  assert.equal(back.code, 'DISTRIBUTION_HANDLER_FAILED');
  assert.equal(back.message.length, 1024);
  assert.equal(fromErrorDetail(undefined).code, 'DISTRIBUTION_HANDLER_FAILED');
});

test('an unexpected fault says nothing of its inside', () => {
  const coded = asCodedError(new TypeError('secret of /etc/shadow'));
  assert.equal(coded.code, 'DISTRIBUTION_HANDLER_FAILED');
  assert.ok(!coded.message.includes('shadow'));
  assert.equal(asCodedError(error), error);
});
