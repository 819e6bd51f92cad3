import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, declaredCodes, errorTable, formatError, formatPlace } from './errors.ts';
import { runtimeErrors, rpcCode } from './error-codes.ts';

test('a code belongs to one table', () => {
  errorTable({ TEST_ONCE: { status: 'INTERNAL', remedy: 'Do nothing' } });
  assert.throws(() => errorTable({ TEST_ONCE: { status: 'INTERNAL', remedy: 'Do nothing' } }), /declared twice/);
  assert.ok(declaredCodes().has('TEST_ONCE'));
});

test('an error carries code, status, remedy and place, and prints as one line', () => {
  const error = runtimeErrors.error('CONFIG_INVALID', 'expected a list', {
    place: { file: 'a.yaml', line: 3, column: 7 },
  });
  assert.ok(error instanceof CodedError);
  assert.equal(error.status, 'INVALID_ARGUMENT');
  assert.equal(
    formatError(error),
    `CONFIG_INVALID a.yaml:3:7: expected a list; ${runtimeErrors.codes.CONFIG_INVALID.remedy}`,
  );
  assert.equal(formatPlace({ file: 'a.yaml' }), 'a.yaml');
});

test('every remedy is one sentence that starts with a verb in upper case and has no full stop', () => {
  for (const [code, { remedy }] of declaredCodes()) assert.match(remedy, /^[A-Z][^\n]*[^.]$/, code);
});

test('every status has a code of its own for answers without detail', () => {
  for (const { status } of Object.values(runtimeErrors.codes))
    assert.equal(runtimeErrors.codes[rpcCode(status)].status, status);
});
