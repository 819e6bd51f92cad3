// Policy, plan and kernel agree on real packets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../../support/capabilities.ts';
import { probeKernel } from './kernel.ts';

test('policy, plan and kernel agree on some hundred real packets', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3')) return;
  const { packets, accepted, unseen, disagreements } = await probeKernel({
    policies: 6,
    packetsPerPolicy: 80,
    seed: 8,
  });
  assert.deepEqual(disagreements, []);
  assert.equal(unseen, 0);
  assert.equal(packets, 480);
  assert.ok(accepted > 20 && accepted < 460, `${accepted} of ${packets} accepted`);
});
