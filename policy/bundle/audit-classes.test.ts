import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditClassesSchema, auditClassOf } from './audit-classes.ts';

test('a class is recorded as the interface says, by default counted, and one that nobody knows whole', () => {
  const modbus = { protocol: 'modbus', auditClasses: { write: 'all', read: { sample: 100 } } } as const;
  assert.equal(auditClassOf(modbus, 'write'), 'all');
  assert.deepEqual(auditClassOf(modbus, 'read'), { sample: 100 });
  assert.equal(auditClassOf(modbus, 'other'), 'counted');
  assert.equal(auditClassOf(modbus, 'publish'), 'all', 'not a class of Modbus');
  assert.equal(auditClassOf(modbus, 'constructor'), 'all');
  assert.equal(auditClassOf({ protocol: 'mqtt' }, 'publish'), 'counted');
  assert.equal(auditClassOf({ protocol: 'tls' }, 'connect'), 'counted');
});

test('the class of http is what its allows say', () => {
  assert.equal(auditClassOf({ protocol: 'http' }, 'request'), 'all');
  assert.equal(auditClassOf({ protocol: 'http', allowsSampled: 0 }, 'request'), 'counted');
  assert.deepEqual(auditClassOf({ protocol: 'http', allowsSampled: 7 }, 'request'), { sample: 7 });
});

test('a bundle with a class or a level that this program does not know is refused', () => {
  assert.ok(auditClassesSchema.safeParse({ read: 'all', publish: { sample: 2 } }).success);
  for (const wrong of [{ reads: 'all' }, { read: 'none' }, { read: { sample: 1 } }, { read: { sample: 2, more: 1 } }]) {
    assert.ok(!auditClassesSchema.safeParse(wrong).success, JSON.stringify(wrong));
  }
});
