import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../../store/database.ts';
import { openPublications, publishSample } from './sample-publication.ts';
import { createSliceDevices } from './slice-devices.ts';

test('the devices of the newest slice, and nobody for a device without one or with one that cannot be read', async () => {
  const db = await openDatabase('sqlite::memory:');
  const { publications } = await openPublications(db);
  const devicesOf = createSliceDevices(publications);
  assert.deepEqual([...(await devicesOf('plc-1'))], []);
  await publishSample(publications, 1);
  const named = await devicesOf('plc-1');
  assert.ok(named.has('plc-1') && named.size > 1, [...named].join());
  assert.deepEqual([...(await devicesOf('nobody'))], []);
  const broken = { ...publications, chunk: () => Promise.resolve(Buffer.from('{')) };
  assert.deepEqual([...(await createSliceDevices(broken)('plc-1'))], []);
  const lost = { ...publications, chunk: () => Promise.resolve(undefined) };
  assert.deepEqual([...(await createSliceDevices(lost)('plc-1'))], []);
  await db.close();
});
