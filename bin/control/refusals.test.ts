import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { createRefusals, nobody } from './refusals.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const refused = (code: string): NewEvent => ({ kind: 'admin', activity: 'refuse', severity: 'medium', data: { code } });

test('a flood of refusals is a few events and one count; another caller is still recorded as he was', async () => {
  const events: NewEvent[] = [];
  const refusals = createRefusals((event) => Promise.resolve(void events.push(event)), new FakeClock(0), log);
  for (let n = 0; n < 5_000; n++) await refusals.tell(nobody, refused('CA_TOKEN_UNKNOWN'));
  const alone = events.length;
  assert.ok(alone <= 100, `${alone} events`);
  await refusals.tell('spiffe://plant.example/device/plc-1', refused('ACCESS_WRONG_IDENTITY'));
  assert.equal(events.length, alone + 1);
  await refusals.flush();
  assert.equal(events.at(-1)?.data['count'], 5_000 - alone);
  await refusals.flush();
  assert.equal(events.length, alone + 2, 'counted once');
});

test('a log that cannot be written does not fail the call', async () => {
  const refusals = createRefusals(() => Promise.reject(new Error('disk full')), new FakeClock(0), log);
  await refusals.tell(nobody, refused('X'));
  await refusals.flush();
});
