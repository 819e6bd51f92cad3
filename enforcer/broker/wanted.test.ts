// What the grants of an interface are to a broker.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokerSlice } from '../../test/proxy/mqtt-world.ts';
import { createAccounts } from './accounts.ts';
import { wantedAccounts } from './wanted.ts';

test('broker: a device has the topics of its grants, by what may be done there', () => {
  assert.deepEqual(wantedAccounts(brokerSlice, 'broker'), [
    {
      device: 'sensor-1',
      acls: [
        { acltype: 'publishClientReceive', topic: 'cmd/sensor-1/#' },
        { acltype: 'publishClientReceive', topic: 'log/#' },
        { acltype: 'publishClientReceive', topic: 'plant/+/temperature' },
        { acltype: 'publishClientSend', topic: 'plant/sensor-1/#' },
        { acltype: 'publishClientSend', topic: 'set/sensor-1' },
        { acltype: 'publishClientSend', topic: 'status/sensor-1' },
        { acltype: 'subscribePattern', topic: '$share/workers/cmd/sensor-1/#' },
        { acltype: 'subscribePattern', topic: '$share/workers/plant/+/temperature' },
        { acltype: 'subscribePattern', topic: 'cmd/sensor-1/#' },
        { acltype: 'subscribePattern', topic: 'log/#' },
        { acltype: 'subscribePattern', topic: 'plant/+/temperature' },
        { acltype: 'unsubscribePattern', topic: '#' },
      ],
    },
  ]);
});

test('broker: without a connect, of another interface or of another device there is no account', () => {
  const [grant] = brokerSlice.grants;
  assert.ok(grant !== undefined);
  const without = { ...grant, operations: ['telemetry', 'read'] };
  assert.deepEqual(wantedAccounts({ ...brokerSlice, grants: [without] }, 'broker'), []);
  assert.deepEqual(wantedAccounts(brokerSlice, 'another'), []);
  assert.deepEqual(wantedAccounts({ ...brokerSlice, grants: [{ ...grant, device: 'broker-2' }] }, 'broker'), []);
});

test('broker: one client id of the policy binds the account, several do not', () => {
  const [entry] = brokerSlice.interfaces;
  assert.ok(entry !== undefined);
  const withIds = (...clientIds: string[]): string | undefined => {
    const operations = entry.operations.map((one) => (one.name === 'connect' ? { ...one, clientIds } : one));
    const slice = { ...brokerSlice, interfaces: [{ ...entry, operations }] } as typeof brokerSlice;
    return wantedAccounts(slice, 'broker')[0]?.clientId;
  };
  assert.equal(withIds('{device}'), 'sensor-1');
  assert.equal(withIds('{device}-*'), undefined);
  assert.equal(withIds('{device}', 'other'), undefined);
});

test('broker: accounts are the same every time and another for each secret, interface and device', () => {
  const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const password = createAccounts(one, 'broker')('sensor-1').password;
  assert.equal(createAccounts(one, 'broker')('sensor-1').password, password);
  assert.equal(password.length, 43);
  const others = [
    createAccounts(two, 'broker')('sensor-1'),
    createAccounts(one, 'other')('sensor-1'),
    createAccounts(one, 'broker')('sensor-2'),
  ];
  for (const other of others) assert.notEqual(other.password, password);
  assert.throws(() => createAccounts(Buffer.alloc(16), 'broker'), RangeError);
});
