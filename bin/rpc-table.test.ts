import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessTable, rateTable, roles, rpcNames } from './rpc-table.ts';

test('every RPC has a row in the table of identities and roles, and no row is left over', () => {
  assert.deepEqual(Object.keys(accessTable).toSorted(), rpcNames().toSorted());
});

test('every RPC has a row in the table of rate limits, and no row is left over', () => {
  assert.deepEqual(Object.keys(rateTable).toSorted(), rpcNames().toSorted());
});

test('every role opens something, and only enrolment is anonymous', () => {
  const rows = Object.entries(accessTable);
  for (const role of roles) {
    assert.ok(
      rows.some(([, access]) => access.identity === 'operator' && access.anyOf.includes(role)),
      role,
    );
  }
  assert.deepEqual(
    rows.filter(([, access]) => access.identity === 'anonymous').map(([name]) => name),
    ['edgeward.enrolment.v1.EnrolmentService/Enroll'],
  );
});

test('a viewer changes nothing and a publisher administers nothing', () => {
  const changing = /\/(Create|Revoke|Issue|Add|Quarantine|Recover|Release|Begin|Upload|Complete)/;
  for (const [name, access] of Object.entries(accessTable)) {
    if (access.identity !== 'operator' || !changing.test(name)) continue;
    assert.ok(!access.anyOf.includes('viewer') && !access.anyOf.includes('auditor'), name);
    if (!/Publication|Chunk/.test(name)) assert.ok(!access.anyOf.includes('publisher'), name);
  }
});
