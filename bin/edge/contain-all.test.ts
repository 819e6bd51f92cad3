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
      closeStreams: (device) => closed.push(device),
    }),
    refused,
  );
  assert.deepEqual(done, ['b quarantined', 'c quarantined', 'd released']);
  assert.deepEqual(closed.slice(0, 4), ['a', 'b', 'c', 'd'], 'before anything waits for the kernel');
});

test('no device waits until the flows of another have ended; each order says how many streams ended before it', async () => {
  const asked: string[] = [];
  const flows = Promise.withResolvers<void>();
  const all = containAll(change, {
    contain: (device, _containment, streams) => {
      asked.push(`${device} ${streams}`);
      return flows.promise;
    },
    closeStreams: (device) => (device === 'b' ? 2 : 0),
  });
  assert.deepEqual(asked, ['a 0', 'b 2', 'c 0', 'd 0']);
  flows.resolve();
  await all;
});
