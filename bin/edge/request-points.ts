// The enforcement points that answer proxies, put together: who asks, what the engine says, what is remembered. The edge has
// them, and each authz worker (workers/), on sockets of its own.
import { randomBytes } from 'node:crypto';
import type { EmitEvent, Spool } from '../../audit/spool/index.ts';
import { type Abilities, type Active, freshnessOf, type TrustedTime } from '../../enforcer/activation/index.ts';
import { type AuthzPorts, createDecisionLog, type RemoteProxies, serveAuthz } from '../../enforcer/authz/index.ts';
import { type HttpReads, httpReadsOf, type Slice, type SliceInterface } from '../../policy/bundle/index.ts';
import type { AccessRequest, Decision, Engine } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Task } from '../../runtime/tasks.ts';
import { openAuthzen } from './authzen.ts';
import { type EdgeConfig, edgePaths } from './config.ts';
import { type Health, openHealth } from './health.ts';
import type { Subjects } from './subjects.ts';

export interface RequestPointsParts {
  readonly config: EdgeConfig;
  /** 1 is the edge itself, with all its sockets; workers count from 2. */
  readonly index: number;
  readonly log: Logger;
  readonly emit: EmitEvent;
  /** What this process writes to; undefined where another one does. */
  readonly spool?: Pick<Spool, 'status'>;
  readonly decide: (request: AccessRequest, abilities?: Abilities) => Decision;
  readonly usage: AuthzPorts['usage'];
  readonly subjects: Subjects;
  readonly active: () => Active<Engine> | undefined;
  readonly time: () => TrustedTime;
  /** Proxies on other hosts that may ask. */
  readonly remote?: RemoteProxies | undefined;
}

export interface RequestPoints {
  /** Whether a verified bundle is in force that is not past hard expiry. */
  readonly serving: () => boolean;
  readonly health: Pick<Health, 'admission' | 'ailments'>;
  /** Counts of requests, and looks at how this process fares. */
  readonly tasks: Readonly<Record<string, Task>>;
  /** After a change of orders: ends the connections of proxies on other hosts that may not ask any more. */
  recheck(): void;
  close(graceMs: number): Promise<void>;
}

export async function openRequestPoints(parts: RequestPointsParts): Promise<RequestPoints> {
  const { config, index, log, emit, decide, usage, subjects, active, time } = parts;
  const serving = (): boolean => {
    const now = active();
    return now !== undefined && freshnessOf(now.bundle.manifest, time()) !== 'hard-expired';
  };
  const audited = byInterface(() => active()?.bundle.slice);
  const httpReads = readsByInterface(() => active()?.bundle.slice);
  const decisions = createDecisionLog(emit, {
    clock: systemClock,
    random: randomBytes,
    allowsSampled: (name) => audited(name)?.allowsSampled,
    onLost: (error) => log.warn({ err: error }, 'a count of requests was not taken'),
  });
  const health = openHealth(log, parts.spool, decisions);
  const isWell = (): boolean => serving() && Object.keys(health.ailments()).length === 0;
  const ports = {
    decide,
    usage,
    log: decisions,
    admission: health.admission,
    auditDurable: (name: string) => audited(name)?.auditDurable ?? false,
    now: () => time().now,
    httpReads,
  };
  const { authz } = config;
  const { grpcSocket, forwardAuthSocket } = edgePaths(config, index);
  const isEdge = index === 1;
  const authzen = isEdge ? await openAuthzen(config, ports, subjects, active, emit) : undefined;
  const proxied = await serveAuthz({ ...ports, identify: (peer) => subjects.fromEvidence(peer) }, isWell, {
    grpc: [`unix:${grpcSocket}`, ...(isEdge && authz.tcp !== undefined ? [authz.tcp] : [])],
    forwardAuthSocket,
    forwardAuthTcp: isEdge ? authz.forwardAuthTcp : undefined,
    socketMode: Number.parseInt(authz.socketMode, 8),
    transport: authz.transport,
    remote: parts.remote,
    log,
  });
  return {
    serving,
    health,
    tasks: {
      requests: decisions.task,
      ...health.tasks,
      ...(proxied.remote === undefined ? {} : { remote: proxied.remote.task }),
    },
    recheck: () => void proxied.remote?.recheck(),
    close: async (graceMs) => {
      await Promise.all([authzen?.close(), proxied.close(graceMs)]);
      await decisions.close();
    },
  };
}

/** What the slice in force says of an interface, found without looking through all of them for each request. */
function byInterface(slice: () => Slice | undefined): (name: string) => SliceInterface | undefined {
  let of: Slice | undefined;
  let known = new Map<string, SliceInterface>();
  return (name) => {
    const now = slice();
    if (now !== of) {
      // The first of a name, as `find` would say.
      known = new Map((now?.interfaces ?? []).toReversed().map((entry) => [entry.name, entry]));
      of = now;
    }
    return known.get(name);
  };
}

/** What the slice in force asks of HTTP requests beside method and path, worked out once for each. */
function readsByInterface(slice: () => Slice | undefined): (name: string) => HttpReads | undefined {
  let of: Slice | undefined;
  let known: ReadonlyMap<string, HttpReads> = new Map();
  return (name) => {
    const now = slice();
    if (now !== of) {
      known = httpReadsOf(now?.interfaces ?? []);
      of = now;
    }
    return known.get(name);
  };
}
