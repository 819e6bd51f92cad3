// The cloud's audit log of one trust domain, put together: what bin/ wires.
import type { NoteSigner } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import type { Database } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';
import type { EmitEvent } from '../spool/event.ts';
import { noMasking } from '../spool/payload.ts';
import { createCheckpoints, type Checkpoints } from './checkpoints.ts';
import { beginLog, createControlLog } from './control-log.ts';
import type { FreshEntry } from './entry.ts';
import { createIngest, type Ingest } from './ingest.ts';
import { auditMigrations } from './migrations.ts';
import { createLogReader, type LogReader } from './query.ts';
import { createAuditHandlers, type AuditHandlers } from './wire.ts';
import { createLogWriter } from './writer.ts';

export interface AuditLogOptions {
  readonly db: Database;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Unpredictable bytes, as node:crypto randomBytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** Ed25519; its name is `logOrigin(trustDomain)`. */
  readonly signer: NoteSigner;
  readonly log: Logger;
}

export interface AuditLog {
  /** The control plane's own events; resolves when committed. */
  readonly emit: EmitEvent;
  /** AuditIngestService.Deliver, for a device that the caller authenticated. */
  readonly ingest: Ingest;
  readonly reader: LogReader;
  readonly checkpoints: Checkpoints;
  /** The audit RPCs of AdminService. */
  readonly handlers: AuditHandlers;
  /** Signs checkpoints while the log grows. */
  readonly task: Task;
  /** Calls back with what this process stored, after each commit, in log order. Returns how to stop that. */
  onStored(listener: (entries: readonly FreshEntry[]) => void): () => void;
  /** Resolves when nothing waits for the store. */
  idle(): Promise<void>;
}

export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { db, trustDomain, clock, random, signer, log } = options;
  await migrate(db, 'audit', auditMigrations);
  const listeners = new Set<(entries: readonly FreshEntry[]) => void>();
  const writer = createLogWriter({
    db,
    trustDomain,
    clock,
    log,
    onStored: (entries) => {
      for (const listener of listeners) callBack(listener, entries, log);
    },
  });
  const onStored: AuditLog['onStored'] = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const controlOptions = { db, trustDomain, clock, random, masking: noMasking };
  const emit = createControlLog(controlOptions, await beginLog(controlOptions), writer);
  const reader = createLogReader({ db, trustDomain, clock, subscribe: (wake) => onStored(wake) });
  const checkpoints = createCheckpoints({ db, trustDomain, signer, clock, log });
  return {
    emit,
    ingest: createIngest({ db, trustDomain, clock, writer, emitOwn: emit }),
    reader,
    checkpoints,
    handlers: createAuditHandlers(db, trustDomain, reader, checkpoints),
    task: checkpoints.task,
    onStored,
    idle: () => writer.idle(),
  };
}

/** The entries are stored; what a listener does with them is its own trouble. */
function callBack(
  listener: (entries: readonly FreshEntry[]) => void,
  entries: readonly FreshEntry[],
  log: Logger,
): void {
  try {
    listener(entries);
  } catch (error) {
    log.error({ err: error }, 'a listener of the audit log failed');
  }
}
