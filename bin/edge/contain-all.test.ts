import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containAll } from './contain-all.ts';

const change = {
  revoked: ['a'],
  quarantined: ['b'],
  recovering: ['c'],
  released: ['d'],
  revokedSerials: [],
};

test('a device that the kernel refuses to cut leaves no other as it was, and its own streams end', async () => {
  const done: string[] = [];
  const closed: string[] = [];
  const refused = new Error('netlink: ENOBUFS');
  await assert.rejects(
    containAll(change, {
      contain: (device, containment) => {
        if (device === 'a') return Promise.reject(refused);
        return Promise.resolve(void done.push(`${device} ${containment ?? 'released'}`));
      },
      closeStreams: (device) => void closed.push(device),
    }),
    refused,
  );
  assert.deepEqual(done, ['b quarantined', 'c quarantined', 'd released']);
  assert.deepEqual(closed.slice(0, 4), ['a', 'b', 'c', 'd'], 'before anything waits for the kernel');
});
