// The decision log on the spool: at a rate that the disk does not keep up with, what is not stored is counted there.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { emitTo, openSpool } from '../../audit/spool/index.ts';
import { createDecisionLog } from '../../enforcer/authz/decision-log.ts';
import type { Question } from '../../enforcer/authz/question.ts';
import { systemClock } from '../../runtime/clock.ts';
import { SimulatedFiles } from '../../store/simulated-files.ts';

const granted = {
  allow: true,
  reason: 'granted' as const,
  rule: 'grant:a',
  place: 'grants/a.yaml:3',
  operation: 'view',
  bundle: 'ab',
};
const question = (n: number): Question => ({
  interface: 'hmi-web',
  operation: { protocol: 'http', method: 'GET', path: `/${n}` },
  peer: {},
  connection: '10.77.0.66:40000',
  source: 'ext-authz',
});

test('every allow is a record, a part of a count, or in a loss record; the counts survive what drops the others', async () => {
  for (const oneIn of [undefined, 4]) {
    const limits = { queueBytes: 64 * 1024 };
    const spool = await openSpool({
      fs: new SimulatedFiles(),
      directory: '/spool',
      clock: systemClock,
      random: randomBytes,
      limits,
    });
    const log = createDecisionLog(emitTo(spool), {
      clock: systemClock,
      random: randomBytes,
      allowsSampled: () => oneIn,
      onLost: () => undefined,
    });
    for (let n = 0; n < 10_000; n++) log.note(question(n), { subject: 'gateway-1', decision: granted, message: '' });
    assert.ok(spool.status().lost > 0, 'nothing had time to be written');
    await spool.flush();
    // Twice: what the queue had no room for the first time is still there.
    await log.close();
    await log.close();
    await spool.flush();
    let requests = 0;
    let lost = 0;
    for await (const { payload } of spool.read(0, Number.POSITIVE_INFINITY)) {
      const { kind, data } = JSON.parse(payload.toString()) as { kind: string; data: { count?: number } };
      if (kind === 'authz') requests += data.count ?? 1;
      else lost += data.count ?? 0;
    }
    assert.equal(lost, spool.status().lost);
    assert.equal(requests + lost, 10_000);
    await spool.close();
  }
});
