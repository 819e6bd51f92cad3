import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mayBeWatched, ruleOf } from './watched-headers.ts';

const may = (name: string): boolean => mayBeWatched(name.charCodeAt(0), name.charCodeAt(2) || 0, name.length);

test('a name that has a rule is never passed over', () => {
  const start = fc.constantFrom(
    'x-forwarded-',
    'x-original-',
    'x-edgeward-',
    'x-auth-request-',
    'x-webauth-',
    'remote-',
  );
  const own = fc.constantFrom('host', 'connection', 'authorization', 'x-real-ip', 'forwarded', 'content-length');
  const tail = fc.stringMatching(/^[a-z0-9-]{0,20}$/);
  const name = fc.oneof(
    own,
    fc.tuple(start, tail).map((parts) => parts.join('')),
    tail,
  );
  let watched = 0;
  fc.assert(
    fc.property(name, (text) => {
      if (ruleOf(text) === undefined) return;
      watched++;
      assert.ok(may(text), text);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(watched > 500);
});

test('names of ordinary requests are passed over without a look at the table', () => {
  for (const name of ['accept', 'accept-encoding', 'cookie', 'traceparent', 'user-agent', 'x-correlation-id']) {
    assert.equal(may(name), false, name);
  }
});
