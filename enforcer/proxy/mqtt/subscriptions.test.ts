// What became of filters, against the plain reading of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createSubscriptions } from './subscriptions.ts';

test('subscriptions: a part is used by others when a filter that stays became it, whatever was made and removed before', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const parts = fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { maxLength: 3 });
  const step = fc.oneof(fc.record({ made: name, parts }), fc.record({ removed: name }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.uniqueArray(name), (steps, going) => {
      const subscriptions = createSubscriptions();
      const plain = new Map<string, readonly string[]>();
      for (const one of steps) {
        if ('made' in one) {
          subscriptions.made(one.made, one.parts);
          plain.set(one.made, one.parts);
        } else {
          subscriptions.removed(one.removed);
          plain.delete(one.removed);
        }
      }
      const except: ReadonlySet<string> = new Set(going);
      const isUsed = subscriptions.usedByOthers(except);
      for (const part of ['x', 'y', 'z', 'w']) {
        const expected = [...plain].some(([filter, own]) => !except.has(filter) && own.includes(part));
        assert.equal(isUsed(part), expected, part);
      }
    }),
  );
});
