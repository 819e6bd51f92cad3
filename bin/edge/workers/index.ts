// Authz workers as the rest of the edge sees them: told of every change before it is acknowledged to the cloud.
import type { Activation, OrdersStore } from '../../../enforcer/activation/index.ts';
import type { BreakGlass } from '../../../enforcer/break-glass/index.ts';
import type { Island } from '../../../enforcer/island/index.ts';
import type { UseLedger } from '../../../enforcer/usage/index.ts';
import type { Engine } from '../../../policy/engine/index.ts';
import { systemClock } from '../../../runtime/clock.ts';
import type { Task } from '../../../runtime/tasks.ts';
import type { EdgeCore } from '../core.ts';
import type { Heartbeat, PeerAnchors } from './messages.ts';
import { createWorkerPool } from './pool.ts';
import { takeUses } from './take-uses.ts';

export interface Workers {
  /** Each resolves when every worker took the change or is dead. Never rejects. */
  readonly subjectsChanged: () => Promise<void>;
  readonly identityChanged: () => Promise<void>;
  readonly policyChanged: () => Promise<void>;
  /** Workers that answer requests, of how many. */
  status(): { readonly ready: number; readonly configured: number };
  readonly task: Task;
  close(): Promise<void>;
}

export interface WorkersParts {
  readonly core: EdgeCore;
  readonly activation: Activation<Engine>;
  readonly orders: OrdersStore;
  readonly usage: UseLedger;
  readonly glass: BreakGlass;
  readonly island: Pick<Island, 'active'>;
}

/** None for one process, which is the edge itself. */
export function openWorkers({ core, activation, orders, usage, glass, island }: WorkersParts): Workers {
  const { config, deviceId, log, emit, own, trusted, boot } = core;
  const count = config.authz.processes - 1;
  const heartbeat = (): Heartbeat => ({
    mark: { time: trusted.time(), uptimeMs: boot.uptimeMs() },
    openings: glass.openings(),
    island: island.active(),
  });
  const anchors = (): PeerAnchors => {
    const { chain, anchors: known } = own.current();
    const { trustDomain, roots, publisherKeys } = known;
    return { chain, trustDomain, roots, publisherKeys };
  };
  const digest = (): string => activation.current()?.bundle.digest ?? '';
  const pool = createWorkerPool({
    count,
    program: new URL('worker.ts', import.meta.url),
    start: () => ({ config, deviceId }),
    snapshot: () => ({ digest: digest(), heartbeat: heartbeat(), anchors: anchors(), subjects: orders.view() }),
    heartbeat,
    emit,
    use: (uses) => takeUses(usage, uses),
    dropped: (requests) => {
      log.error({ requests }, 'records of an authz worker are lost');
      const data = { ...(requests === undefined ? {} : { lost: requests }), source: 'authz-worker' };
      // Also while the spool is full or closed: the end of a worker must not become the end of the edge.
      emit({ kind: 'log', activity: 'lost', severity: 'high', data }).catch((error: unknown) =>
        log.error({ err: error }, 'the loss of records of an authz worker could not be recorded'),
      );
    },
    clock: systemClock,
    log,
  });
  return {
    subjectsChanged: () => pool.tell({ kind: 'subjects', subjects: orders.view() }),
    identityChanged: () => pool.tell({ kind: 'anchors', anchors: anchors() }),
    policyChanged: () => pool.tell({ kind: 'policy', digest: digest() }),
    status: () => ({ ready: pool.ready(), configured: count }),
    task: pool.task,
    close: () => pool.close(),
  };
}
