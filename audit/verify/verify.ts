// Verification of the log with no trust in the server: from entries, signed heads, and checkpoints that somebody holds
// elsewhere. Recomputes every leaf and the root (RFC 6962), every device's chain, and every signature from pinned roots.
import { parseVerifierKey, verifyCheckpoint, type Checkpoint, type NoteVerifier } from '../../identity/index.ts';
import type { ExportedHead, ExportLogResponse, LogEntry } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { auditErrors } from '../errors.ts';
import { chainBytes, epochBytes, sameBytes } from '../log/chain.ts';
import { leafHash } from '../log/leaf.ts';
import { Frontier, hashBytes } from '../log/merkle.ts';
import { Chains, type ChainedRecord } from './chains.ts';
import { Findings, type Finding } from './findings.ts';
import { trustHead, type TrustedHead } from './heads.ts';

export interface Trust {
  readonly trustDomain: string;
  /** C2SP verifier key of the log, pinned. */
  readonly verifierKey: string;
  /** DER of the trust domain's roots, pinned. */
  readonly roots: readonly Uint8Array[];
  /** Signed checkpoints that the server cannot have changed since; at least one. */
  readonly held: readonly string[];
}

export interface ServedLog {
  /** From index 0 on. */
  readonly entries: AsyncIterable<LogEntry>;
  readonly heads: readonly ExportedHead[];
  /** Checkpoints that the server kept; they narrow the range when a root does not fit. */
  readonly checkpoints: readonly string[];
}

export interface Verification {
  /** Nothing was found, and at least one held checkpoint is covered. */
  readonly ok: boolean;
  /** Entries read. */
  readonly size: number;
  /** Entries that a held checkpoint covers. */
  readonly covered: number;
  readonly chains: number;
  readonly heads: number;
  /** The first ones, in order of discovery. */
  readonly findings: readonly Finding[];
  readonly findingsTotal: number;
}

export async function verifyLog(log: ServedLog, trust: Trust): Promise<Verification> {
  return judgeEntries(log.entries, await gatherEvidence(log, trust));
}

/** What the entries are compared with: only what a pinned key signed. */
export interface Evidence {
  readonly held: readonly Checkpoint[];
  readonly served: readonly Checkpoint[];
  readonly heads: readonly TrustedHead[];
  /** About heads and checkpoints that cannot be trusted. */
  readonly findings: readonly Finding[];
}

export async function gatherEvidence(log: Omit<ServedLog, 'entries'>, trust: Trust): Promise<Evidence> {
  const findings = new Findings();
  const verifier = logVerifier(trust);
  const held = trustCheckpoints(trust.held, verifier, 'held elsewhere', findings);
  const served = trustCheckpoints(log.checkpoints, verifier, 'of the server', findings);
  const heads = await trustHeads(log.heads, trust, findings);
  return { held, served, heads, findings: findings.list };
}

export async function judgeEntries(entries: AsyncIterable<LogEntry>, evidence: Evidence): Promise<Verification> {
  const { held, served, heads } = evidence;
  const findings = new Findings();
  for (const finding of evidence.findings) findings.add(finding);
  const chains = new Chains(findings, heads);
  const tree = new Tree(findings, [...held, ...served]);
  for await (const wire of entries) {
    const record = tree.add(wire);
    if (record !== undefined) chains.add(record);
  }
  tree.finish();
  chains.finish();
  const covered = Math.max(0, ...held.map((checkpoint) => checkpoint.size));
  return {
    ok: findings.total === 0 && held.length > 0,
    size: tree.size,
    covered: Math.min(covered, tree.size),
    chains: chains.size,
    heads: heads.length,
    findings: findings.list,
    findingsTotal: findings.total,
  };
}

/** The same over the stream of AdminService.ExportLog, which sends heads and checkpoints before the entries. */
export async function verifyExport(items: AsyncIterable<ExportLogResponse>, trust: Trust): Promise<Verification> {
  const heads: ExportedHead[] = [];
  const checkpoints: string[] = [];
  const iterator = items[Symbol.asyncIterator]();
  let next = await iterator.next();
  for (; !next.done; next = await iterator.next()) {
    const { item } = next.value;
    if (item.case === 'head') heads.push(item.value);
    else if (item.case === 'checkpoint') checkpoints.push(item.value);
    else break;
  }
  async function* entries(): AsyncGenerator<LogEntry> {
    for (; !next.done; next = await iterator.next()) {
      const { item } = next.value;
      if (item.case !== 'entry') throw auditErrors.error('AUDIT_PROTOCOL', 'heads and checkpoints come before entries');
      yield item.value;
    }
  }
  return verifyLog({ entries: entries(), heads, checkpoints }, trust);
}

function logVerifier({ verifierKey, trustDomain, held }: Trust): NoteVerifier {
  const verifier = parseVerifierKey(verifierKey);
  if (verifier.name !== `${trustDomain}/audit`) {
    throw auditErrors.error('AUDIT_CHECKPOINT_INVALID', `the verifier key is of ${verifier.name}`);
  }
  if (held.length === 0) throw auditErrors.error('AUDIT_CHECKPOINT_INVALID', 'no checkpoint was given');
  return verifier;
}

function trustCheckpoints(
  notes: readonly string[],
  verifier: NoteVerifier,
  whose: string,
  findings: Findings,
): Checkpoint[] {
  return notes.flatMap((note) => {
    try {
      return [verifyCheckpoint(note, verifier)];
    } catch (error) {
      const message = `a checkpoint ${whose} cannot be trusted: ${error instanceof Error ? error.message : ''}`;
      findings.add({ what: 'checkpoint-invalid', message });
      return [];
    }
  });
}

async function trustHeads(heads: readonly ExportedHead[], trust: Trust, findings: Findings): Promise<TrustedHead[]> {
  const trusted: TrustedHead[] = [];
  for (const head of heads) {
    try {
      trusted.push(await trustHead(head, trust.trustDomain, trust.roots));
    } catch (error) {
      findings.add({
        what: 'head-invalid',
        device: head.deviceId,
        epoch: Buffer.from(head.epoch).toString('hex'),
        sequence: Number(head.sequence),
        message: error instanceof Error ? error.message : 'the head cannot be read',
      });
    }
  }
  return trusted;
}

/** Leaves and roots while the entries stream past. */
class Tree {
  readonly #findings: Findings;
  readonly #frontier = Frontier.empty();
  /** Ascending; those not reached yet. */
  #checkpoints: Checkpoint[];
  /** Size up to which a checkpoint confirmed the root. */
  #confirmed = 0;
  #broken = false;
  /** Index that comes next. */
  #next = 0;
  size = 0;

  constructor(findings: Findings, checkpoints: readonly Checkpoint[]) {
    this.#findings = findings;
    this.#checkpoints = checkpoints.toSorted((left, right) => left.size - right.size);
    this.#compareRoots();
  }

  /** The entry as a record of a chain; undefined when it cannot be one. */
  add(wire: LogEntry): ChainedRecord | undefined {
    this.size += 1;
    const record = readEntry(wire);
    const index = Number(wire.index);
    const place = {
      device: wire.deviceId,
      epoch: Buffer.from(wire.epoch).toString('hex'),
      sequence: Number(wire.sequence),
      index: this.#next,
    };
    if (index > this.#next) {
      const message = `entries ${this.#next} to ${index - 1} are not in the log`;
      this.#findings.add({ what: 'missing', index: this.#next, throughIndex: index - 1, message });
      this.#next = index;
    } else if (index < this.#next) {
      this.#findings.add({ what: 'misplaced', ...place, message: `entry ${index} stands where ${this.#next} belongs` });
    }
    const hash =
      record === undefined
        ? Buffer.alloc(hashBytes)
        : leafHash({ ...record, epoch: wire.epoch, receivedAtMs: Number(wire.receivedAtMs) });
    if (record === undefined || !sameBytes(hash, wire.leafHash)) {
      this.#findings.add({ what: 'altered', ...place, message: 'the record is not the one that its leaf hash is of' });
    }
    this.#frontier.append(hash);
    this.#next = Math.max(this.#next, index) + 1;
    this.#compareRoots();
    return record === undefined ? undefined : { ...record, index };
  }

  #compareRoots(): void {
    for (let [due] = this.#checkpoints; due !== undefined && due.size <= this.size; [due] = this.#checkpoints) {
      this.#checkpoints = this.#checkpoints.slice(1);
      // After the first root that does not fit, no later one can.
      if (this.#broken) continue;
      if (due.size !== this.size || !sameBytes(due.rootHash, this.#frontier.root())) {
        this.#findings.add({
          what: 'root',
          index: this.#confirmed,
          throughIndex: due.size - 1,
          message: `entries ${this.#confirmed} to ${due.size - 1} are not those of the checkpoint of ${due.size}`,
        });
        this.#broken = true;
      }
      this.#confirmed = due.size;
    }
  }

  finish(): void {
    const last = this.#checkpoints.at(-1);
    if (last === undefined) return;
    this.#findings.add({
      what: 'truncated',
      index: this.size,
      throughIndex: last.size - 1,
      message: `the log ends after ${this.size} entries, a checkpoint has ${last.size}`,
    });
    if (this.#broken || this.#confirmed === this.size) return;
    this.#findings.add({
      what: 'unproven',
      index: this.#confirmed,
      throughIndex: this.size - 1,
      message: `entries ${this.#confirmed} to ${this.size - 1} are confirmed by no checkpoint`,
    });
  }
}

type ReadEntry = Omit<ChainedRecord, 'index'>;

function readEntry(wire: LogEntry): ReadEntry | undefined {
  const { deviceId, epoch, sequence, payload, chain, receivedAtMs, index } = wire;
  const numbers = [sequence, receivedAtMs, index];
  if (epoch.length !== epochBytes || chain.length !== chainBytes || sequence === 0n) return undefined;
  if (numbers.some((value) => value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))) return undefined;
  if (Buffer.byteLength(deviceId) > 0xffff) return undefined;
  return { deviceId, epoch: Buffer.from(epoch).toString('hex'), sequence: Number(sequence), payload, chain };
}
