// kill -9 of a real process on a real disk, again and again: what it was promised is there, once, in one chain.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSpool } from '../../audit/spool/index.ts';
import { chainNext, sameBytes } from '../../audit/log/chain.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';

const rounds = 12;
const writer = join(import.meta.dirname, 'spool-writer.ts');

/** Runs the writer until it promised some events, then kills it; the promised ids. */
async function killed(directory: string, first: number, promises: number): Promise<number[]> {
  const child = spawn(process.execPath, [writer, directory, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of child.stdout) {
    output += String(chunk);
    if (output.split('\n').length > promises) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL', 'the writer ended by itself');
  // The last line may be cut by the kill.
  return output.split('\n').slice(0, -1).map(Number);
}

test(`${rounds} times kill -9: nothing promised is lost, nothing is there twice`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'edgeward-spool-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const promised = new Set<number>();
  const stored = new Map<number, { id: number; chain: Buffer }>();
  let epoch = '';
  for (let round = 0; round < rounds; round += 1) {
    for (const id of await killed(directory, round * 100_000 + 1, 20 + round * 15)) promised.add(id);
    const spool = await openSpool({ fs: nodeFiles, directory, clock: systemClock, random: randomBytes });
    const { firstSequence } = spool.status();
    epoch ||= spool.status().epoch;
    assert.equal(spool.status().epoch, epoch, 'a kill is not damage');
    for await (const { sequence, payload, chain } of spool.read(firstSequence - 1, Number.POSITIVE_INFINITY)) {
      const before = stored.get(sequence - 1);
      if (before !== undefined) assert.ok(sameBytes(chainNext(before.chain, sequence, payload), chain));
      const id = (JSON.parse(payload.toString()) as { data: { count: number } }).data.count;
      const known = stored.get(sequence);
      if (known !== undefined) assert.equal(known.id, id, `sequence ${sequence} came back with other content`);
      stored.set(sequence, { id, chain });
    }
    await spool.close();
  }
  const ids = [...stored.values()].map((record) => record.id);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(
    [...promised].filter((id) => !ids.includes(id)),
    [],
  );
  assert.ok(promised.size > rounds * 20);
  t.diagnostic(`${promised.size} promised`);
});
