// Signed checkpoints (c2sp.org/tlog-checkpoint) of the log: at most one a second, only when it grew, and never one
// that does not extend what was signed before.
import type { Kysely } from 'kysely';
import { formatVerifierKey, parseCheckpoint, signCheckpoint, type NoteSigner } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import type { Database } from '../../store/database.ts';
import { auditErrors } from '../errors.ts';
import { checkpointIntervalMs, keptCheckpointsMs } from '../limits.ts';
import { Frontier } from '../log/merkle.ts';
import type { AuditTables } from './migrations.ts';

/** Origin of the log of a trust domain, and name of its key. */
export function logOrigin(trustDomain: string): string {
  return `${trustDomain}/audit`;
}

export interface SignedCheckpoint {
  readonly checkpoint: string;
  readonly verifierKey: string;
}

export interface Checkpoints {
  /** Signs while the log grows. */
  readonly task: Task;
  /** The newest; signs one first when the last is older than a second and the log grew. */
  current(): Promise<SignedCheckpoint>;
}

export interface CheckpointsOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly signer: NoteSigner;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createCheckpoints(options: CheckpointsOptions): Checkpoints {
  const { db, trustDomain, signer, clock, log } = options;
  if (signer.name !== logOrigin(trustDomain)) throw new Error(`the log key is named ${signer.name}`);
  const verifierKey = formatVerifierKey(signer.name, signer.key);
  let signedAt = Number.NEGATIVE_INFINITY;

  async function publish(): Promise<string> {
    const note = await db.transaction<AuditTables, string>(async (trx) => {
      const tree = await trx
        .selectFrom('audit_tree')
        .select(['size', 'frontier'])
        .where('trust_domain', '=', trustDomain)
        .executeTakeFirstOrThrow();
      const last = await latest(trx);
      if (last?.size === tree.size) return last.note;
      if (last !== undefined && last.size > tree.size) {
        const message = `a checkpoint of ${last.size} entries is signed, the log has ${tree.size}`;
        throw auditErrors.error('AUDIT_STORE_INCONSISTENT', message);
      }
      const rootHash = Frontier.fromBytes(tree.size, tree.frontier).root();
      const signed = signCheckpoint({ origin: signer.name, size: tree.size, rootHash, extensions: [] }, signer);
      const now = Math.trunc(clock.now());
      await trx
        .insertInto('audit_checkpoints')
        .values({ trust_domain: trustDomain, size: tree.size, note: signed, signed_at: now })
        .onConflict((conflict) => conflict.columns(['trust_domain', 'size']).doNothing())
        .execute();
      await trx
        .deleteFrom('audit_checkpoints')
        .where('trust_domain', '=', trustDomain)
        .where('signed_at', '<', now - keptCheckpointsMs)
        .where('size', '<', tree.size)
        .execute();
      return signed;
    });
    signedAt = clock.monotonic();
    return note;
  }

  function latest(tables: Kysely<AuditTables>): Promise<{ size: number; note: string } | undefined> {
    return tables
      .selectFrom('audit_checkpoints')
      .select(['size', 'note'])
      .where('trust_domain', '=', trustDomain)
      .orderBy('size', 'desc')
      .limit(1)
      .executeTakeFirst();
  }

  return {
    task: periodically(clock, checkpointIntervalMs, async () => {
      await publish().catch((error: unknown) => log.error({ err: error }, 'no checkpoint was signed'));
    }),
    async current() {
      const fresh = clock.monotonic() - signedAt < checkpointIntervalMs;
      const known = fresh ? await latest(db.withTables<AuditTables>()) : undefined;
      return { checkpoint: known?.note ?? (await publish()), verifierKey };
    },
  };
}

/** Size a checkpoint commits to; for exports that must not run ahead of it. */
export function sizeOf(checkpoint: string): number {
  return parseCheckpoint(checkpoint.slice(0, checkpoint.lastIndexOf('\n\n') + 1)).size;
}
