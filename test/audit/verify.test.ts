// Any single change to the log, by somebody with the database in hand, is found and named against a checkpoint held
// elsewhere: 10,000 changes that leave the rest as it was (half on each database), and 4,000 by somebody who recomputes
// all stored hashes.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { clone, create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { chainNext, chainStart } from '../../audit/log/chain.ts';
import { leafHash } from '../../audit/log/leaf.ts';
import { verifyExport, verifyLog, type Finding, type Trust } from '../../audit/verify/index.ts';
import { gatherEvidence, judgeEntries, type Evidence } from '../../audit/verify/verify.ts';
import {
  ExportedHeadSchema,
  ExportLogRequestSchema,
  GetCheckpointRequestSchema,
  LogEntrySchema,
  type ExportedHead,
  type ExportLogResponse,
  type LogEntry,
} from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { forEachDatabase, type OpenDatabase } from '../support/databases.ts';
import { authority, batch, exchange, openLog, TestDevice, trustDomain, verifierKey } from './devices.ts';

interface Sample {
  readonly entries: readonly LogEntry[];
  readonly heads: readonly ExportedHead[];
  readonly checkpoints: readonly string[];
  readonly held: readonly string[];
}

/** Three devices, each with a head at its end; checkpoints held at a third, at two, at the end. */
async function sample(open: OpenDatabase): Promise<{ log: Sample; stream: () => AsyncIterable<ExportLogResponse> }> {
  const db = await open();
  const log = await openLog(db, {
    now: () => 1_800_000_000_000,
    monotonic: () => performance.now(),
    sleep: async () => {},
  });
  const devices = ['gw', 'plc', 'camera'].map((name) => new TestDevice(name));
  const held: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    for (const device of devices) {
      const requests = [device.open(), batch(device.write(3)), await device.head(), batch(device.write(2))];
      if (round === 2) requests.push(await device.head());
      await exchange(log, device, requests);
    }
    // Past the second in which the last one counts as fresh.
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    held.push((await log.handlers.getCheckpoint(create(GetCheckpointRequestSchema))).checkpoint);
  }
  const call = { signal: new AbortController().signal };
  const stream = (): AsyncIterable<ExportLogResponse> =>
    log.handlers.exportLog(create(ExportLogRequestSchema, { fromStart: true }), call);
  const entries: LogEntry[] = [];
  const heads: ExportedHead[] = [];
  const checkpoints: string[] = [];
  for await (const { item } of stream()) {
    if (item.case === 'entry') entries.push(item.value);
    else if (item.case === 'head') heads.push(item.value);
    else if (item.case === 'checkpoint') checkpoints.push(item.value);
  }
  return { log: { entries, heads, checkpoints, held }, stream };
}

const trustIn = (held: readonly string[]): Trust => ({ trustDomain, verifierKey, roots: [authority.root], held });

async function* streamed(entries: readonly LogEntry[]): AsyncGenerator<LogEntry> {
  yield* entries;
}

async function findingsOf({ entries, heads, checkpoints, held }: Sample): Promise<readonly Finding[]> {
  return (await verifyLog({ entries: streamed(entries), heads, checkpoints }, trustIn(held))).findings;
}

/** A change, and the log index of the first record that it touches. */
interface Mutation {
  readonly log: Sample;
  readonly at: number;
  readonly name: string;
}

const within = (from: number | undefined, through: number | undefined, value: number): boolean =>
  from !== undefined && from <= value && value <= (through ?? from);

function names(finding: Finding, original: Sample, at: number): boolean {
  const record = original.entries[at];
  if (within(finding.index, finding.throughIndex, at)) return true;
  if (record === undefined || finding.device !== record.deviceId) return false;
  return within(finding.sequence, finding.throughSequence, Number(record.sequence));
}

const reindexed = (entries: readonly LogEntry[]): LogEntry[] =>
  entries.map((entry, at) => ({ ...entry, index: BigInt(at) }));

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = (bit >> 3) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

const same = (left: Uint8Array, right: Uint8Array | undefined): boolean =>
  right !== undefined && Buffer.compare(left, right) === 0;

const alterations: readonly ((entry: LogEntry, bit: number) => Partial<LogEntry>)[] = [
  (entry, bit) => ({ payload: flipped(entry.payload, bit) }),
  (entry, bit) => ({ chain: flipped(entry.chain, bit) }),
  (entry, bit) => ({ leafHash: flipped(entry.leafHash, bit) }),
  (entry, bit) => ({ epoch: flipped(entry.epoch, bit) }),
  (entry, bit) => ({ sequence: entry.sequence ^ (1n << BigInt(bit % 40)) }),
  (entry, bit) => ({ index: entry.index ^ (1n << BigInt(bit % 40)) }),
  (entry, bit) => ({ receivedAtMs: entry.receivedAtMs ^ (1n << BigInt(bit % 40)) }),
  (entry, bit) => ({ deviceId: String.fromCodePoint(...flipped(Buffer.from(entry.deviceId, 'latin1'), bit)) }),
];

function alter(entry: LogEntry, field: number, bit: number): LogEntry {
  return { ...clone(LogEntrySchema, entry), ...alterations[field]?.(entry, bit) };
}

/** Whoever recomputes: chain values of every device and all leaf hashes fit again, sequences and indices too. */
function recomputed(entries: readonly LogEntry[]): LogEntry[] {
  const chains = new Map<string, { sequence: number; chain: Uint8Array }>();
  return entries.map((entry, at) => {
    const key = `${entry.deviceId}/${Buffer.from(entry.epoch).toString('hex')}`;
    const before = chains.get(key) ?? { sequence: 0, chain: chainStart(entry.epoch) };
    const sequence = before.sequence + 1;
    const chain = chainNext(before.chain, sequence, entry.payload);
    chains.set(key, { sequence, chain });
    const { deviceId, epoch, payload, receivedAtMs } = entry;
    const hash = leafHash({ deviceId, epoch, sequence, receivedAtMs: Number(receivedAtMs), chain, payload });
    return { ...entry, index: BigInt(at), sequence: BigInt(sequence), chain, leafHash: hash };
  });
}

interface Choice {
  readonly kind: number;
  readonly at: number;
  readonly other: number;
  readonly bit: number;
  readonly field: number;
  readonly tidy: boolean;
}

const choice: fc.Arbitrary<Choice> = fc.record({
  kind: fc.nat(5),
  at: fc.nat(10_000),
  other: fc.nat(10_000),
  bit: fc.nat(100_000),
  field: fc.nat(7),
  tidy: fc.boolean(),
});

/** `tidy` makes the indices dense again. */
function mutate(log: Sample, { kind, at: anywhere, other, bit, field, tidy }: Choice): Mutation {
  const size = log.entries.length;
  const at = anywhere % size;
  const to = other % size;
  const finish = (name: string, entries: readonly LogEntry[], first: number): Mutation => ({
    log: { ...log, entries: tidy ? reindexed(entries) : entries },
    at: first,
    name: tidy ? `${name}, indices made dense` : name,
  });
  const entries = [...log.entries];
  switch (kind) {
    case 0: {
      // Dense indices would undo a changed index.
      const changed = alter(entries[at] as LogEntry, field, bit);
      entries[at] = changed;
      return { log: { ...log, entries }, at, name: `bit of field ${field}` };
    }
    case 1:
      entries.splice(at, 1);
      return finish('removed', entries, at);
    case 2: {
      const target = to === at ? (at + 1) % size : to;
      [entries[at], entries[target]] = [entries[target] as LogEntry, entries[at] as LogEntry];
      return finish('reordered', entries, Math.min(at, target));
    }
    case 3:
      entries.splice(at);
      return finish('truncated', entries, at);
    case 4:
      entries.splice(at, 0, entries[to] as LogEntry);
      return finish('inserted', entries, at);
    default: {
      const notes = [...log.held];
      const note = notes[to % notes.length] as string;
      const place = bit % note.length;
      const letter = note[place] === 'A' ? 'B' : 'A';
      notes[to % notes.length] = `${note.slice(0, place)}${letter}${note.slice(place + 1)}`;
      return { log: { ...log, held: notes }, at: -1, name: 'checkpoint changed' };
    }
  }
}

/** Only a changed checkpoint needs its signatures checked again. */
async function assertNamed(original: Sample, evidence: Evidence, { log, at, name }: Mutation): Promise<void> {
  const changed = log.held !== original.held;
  const again = changed ? await gatherEvidence({ heads: [], checkpoints: [] }, trustIn(log.held)) : evidence;
  const found = { ...evidence, held: again.held, findings: again.findings };
  const { findings } = await judgeEntries(streamed(log.entries), found);
  assert.ok(findings.length > 0, `${name} at ${at} was not found`);
  const named =
    at === -1
      ? findings.some((finding) => finding.what === 'checkpoint-invalid')
      : findings.some((finding) => names(finding, original, at));
  assert.ok(named, `${name} at ${at} was not named: ${JSON.stringify(findings)}`);
}

forEachDatabase((database, open) => {
  suite(`verification of a log on ${database}`, () => {
    test('an untouched log verifies, also against an older checkpoint, and as it is streamed', async () => {
      const { log, stream } = await sampleOnce(open);
      assert.deepEqual(await findingsOf(log), []);
      assert.deepEqual(await findingsOf({ ...log, held: log.held.slice(0, 1) }), []);
      const result = await verifyExport(stream(), trustIn(log.held));
      assert.equal(result.ok, true);
      assert.equal(result.size, log.entries.length);
      assert.equal(result.covered, log.entries.length);
      assert.equal(result.heads, 3);
    });

    test('5,000 single changes: each is found and named', async (t) => {
      const { log } = await sampleOnce(open);
      const evidence = await gatherEvidence(log, trustIn(log.held));
      const kinds = new Map<string, number>();
      const property = fc.asyncProperty(choice, async (chosen) => {
        const mutation = mutate(log, chosen);
        kinds.set(mutation.name, (kinds.get(mutation.name) ?? 0) + 1);
        await assertNamed(log, evidence, mutation);
      });
      await fc.assert(property, { numRuns: 5_000 });
      t.diagnostic(JSON.stringify(Object.fromEntries(kinds)));
    });

    test('changes by somebody who recomputes chains, leaves and indices: held checkpoint and heads name the range', async () => {
      const { log } = await sampleOnce(open);
      const evidence = await gatherEvidence(log, trustIn(log.held));
      const bare = { ...evidence, heads: [], served: [] };
      const property = fc.asyncProperty(choice, fc.boolean(), async (chosen, dropHeads) => {
        const { name, log: changed } = mutate(log, { ...chosen, kind: chosen.kind % 5, field: 0, tidy: true });
        const entries = recomputed(changed.entries);
        // A copy of a record right behind it leaves the first of the two as it was.
        const differs = entries.findIndex((entry, index) => !same(entry.leafHash, log.entries[index]?.leafHash));
        const at = differs === -1 ? entries.length : differs;
        // What is added behind everything that was ever signed is growth.
        fc.pre(at < log.entries.length);
        const mutation = { log: { ...log, entries }, at, name: `${name}, recomputed` };
        await assertNamed(log, dropHeads ? bare : evidence, mutation);
      });
      await fc.assert(property, { numRuns: 2_000 });
    });

    test('heads that are altered, of another device or of another authority are named', async () => {
      const { log } = await sampleOnce(open);
      const [head, other] = [log.heads[0], log.heads.at(-1)] as [ExportedHead, ExportedHead];
      const bad = [
        { ...head, jws: `${head.jws.slice(0, -2)}AA` },
        { ...head, certificateDer: other.certificateDer },
        { ...head, certificateDer: head.certificateDer.subarray(0, 300) },
        { ...head, sequence: head.sequence + 1n },
        { ...head, deviceId: other.deviceId },
      ];
      for (const forged of bad) {
        const heads = [create(ExportedHeadSchema, forged), ...log.heads.slice(1)];
        const findings = await findingsOf({ ...log, heads });
        assert.deepEqual(
          findings.map((finding) => [finding.what, finding.device, finding.sequence]),
          [['head-invalid', forged.deviceId, Number(forged.sequence)]],
        );
      }
    });

    test('no checkpoint, or a key of another log, is an error and no verdict', async () => {
      const { log } = await sampleOnce(open);
      await assert.rejects(findingsOf({ ...log, held: [] }), { code: 'AUDIT_CHECKPOINT_INVALID' });
      const { stream } = await sampleOnce(open);
      const trust = { ...trustIn(log.held), trustDomain: 'other.example' };
      await assert.rejects(verifyExport(stream(), trust), { code: 'AUDIT_CHECKPOINT_INVALID' });
    });
  });

  let made: ReturnType<typeof sample> | undefined;
  function sampleOnce(openDb: OpenDatabase): ReturnType<typeof sample> {
    return (made ??= sample(openDb));
  }
});
