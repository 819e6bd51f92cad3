import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../runtime/fake-clock.ts';
import type { Logger } from '../../../runtime/log.ts';
import { maxDeliveryAttempts, maxDeliveryQueue } from '../limits.ts';
import { createFindingDelivery, type Send } from './deliver-findings.ts';
import type { Finding } from './findings.ts';
import { sampleFinding } from './sample-finding.ts';

function deliveryTo(targets: Record<string, Send>) {
  const clock = new FakeClock();
  const said: string[] = [];
  const note = (level: string) => (fields: unknown, message: string) =>
    void said.push(`${level} ${(fields as { finding: string }).finding}: ${message}`);
  const log = { warn: note('warn'), error: note('error') } as unknown as Logger;
  const delivery = createFindingDelivery({ targets, clock, log, random: () => 1 });
  const stop = new AbortController();
  const running = delivery.task(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  return { clock, said, delivery, end };
}
const finding = (id: string): Finding => ({ ...sampleFinding, id });

test('a target that stays away holds up no other and gets its findings in order when it is back', async () => {
  const away: string[] = [];
  const there: string[] = [];
  let isBack = false;
  const given = deliveryTo({
    away: (one) => (isBack ? Promise.resolve(void away.push(one.id)) : Promise.reject(new Error('refused'))),
    there: (one) => Promise.resolve(void there.push(one.id)),
  });
  for (const id of ['f-1', 'f-2']) given.delivery.enqueue(finding(id));
  await given.clock.advance(0);
  assert.deepEqual([there, away], [['f-1', 'f-2'], []]);
  isBack = true;
  await given.clock.advance(60_000);
  given.delivery.enqueue(finding('f-3'));
  await given.clock.advance(0);
  assert.deepEqual(away, ['f-1', 'f-2', 'f-3']);
  await given.end();
});

test('a finding is given up after its attempts, with a log line, and the next one is tried', async () => {
  const tried: string[] = [];
  const given = deliveryTo({ away: (one) => (tried.push(one.id), Promise.reject(new Error('refused'))) });
  given.delivery.enqueue(finding('f-1'));
  await given.clock.advance(3_600_000);
  assert.deepEqual(
    tried,
    Array.from({ length: maxDeliveryAttempts }, () => 'f-1'),
  );
  assert.deepEqual(
    given.said.filter((line) => line.startsWith('error')),
    ['error f-1: finding given up for this target; it stays in the database'],
  );
  given.delivery.enqueue(finding('f-2'));
  await given.clock.advance(0);
  assert.equal(tried.at(-1), 'f-2');
  await given.end();
});

test('the queue is bounded: the oldest go first, each with a log line', async () => {
  const sent: string[] = [];
  let isBack = false;
  const given = deliveryTo({
    away: (one) => (isBack ? Promise.resolve(void sent.push(one.id)) : Promise.reject(new Error('refused'))),
  });
  given.delivery.enqueue(finding('first'));
  await given.clock.advance(0);
  for (let n = 0; n < maxDeliveryQueue + 3; n++) given.delivery.enqueue(finding(`f-${n}`));
  const dropped = given.said.filter((line) => line.includes('queue full'));
  assert.deepEqual(
    dropped.map((line) => line.split(':')[0]),
    ['error f-0', 'error f-1', 'error f-2'],
  );
  isBack = true;
  await given.clock.advance(60_000);
  assert.equal(sent.length, maxDeliveryQueue + 1);
  assert.deepEqual(sent.slice(0, 2), ['first', 'f-3']);
  await given.end();
});

test('the task ends when asked, waiting or trying, and says nothing of giving up', async () => {
  const idle = deliveryTo({ there: () => Promise.resolve() });
  await idle.end();
  const trying = deliveryTo({ away: () => Promise.reject(new Error('refused')) });
  trying.delivery.enqueue(finding('f-1'));
  await trying.clock.advance(0);
  await trying.end();
  assert.deepEqual(
    trying.said.filter((line) => line.startsWith('error')),
    [],
  );
});
