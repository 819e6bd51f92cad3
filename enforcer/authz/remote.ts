// ext_authz and health for proxies on other hosts: TLS 1.3, both sides with an SVID, and a closed list of who may ask. Who
// asks says nothing about whose request it is: the question's subject is the client whose certificate the proxy passes on.
import type { EmitEvent, NewEventData } from '../../audit/spool/index.ts';
import { admitsNothing, type StateRow } from '../../policy/engine/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Connection, Refusal, ServerTls } from '../../runtime/grpc.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import { createEventWindow } from '../event-window.ts';
import { type CheckServices, createGrpcCheckServer } from './envoy/check-server.ts';
import { authzErrors } from './errors.ts';
import { maxDistinctRefusals, refusalWindowMs } from './limits.ts';
import { splitConnection } from './log/connection.ts';

export interface RemoteProxies {
  /** `host:port`, IPv6 in brackets; port 0 for any free one. */
  readonly listen: string;
  /** SPIFFE IDs that may ask, exactly; nobody else. */
  readonly proxies: ReadonlySet<string>;
  /** Our SVID of now, and the roots of its trust domain. */
  readonly tls: () => Required<Pick<ServerTls, 'key' | 'chain' | 'roots'>>;
  /** Calls back when `tls` says something new. */
  readonly follow: (changed: () => void) => void;
  /** Verifies a chain as of now, leaf first: signatures, dates, revocation. Throws a CodedError. */
  readonly verify: (chainDer: readonly Buffer[]) => SpiffeId;
  /** What the state of a device admits, as of now. */
  readonly rowOf: (device: string) => StateRow;
  readonly emit: EmitEvent;
  readonly clock: Clock;
}

export interface RemoteServer {
  readonly port: number;
  /** Ends the connections of proxies that may not ask any more; after each change of orders. Says how many. */
  recheck(): number;
  /** Sends the counts of refusals. */
  readonly task: Task;
  close(graceMs: number): Promise<void>;
}

export async function serveRemote(services: CheckServices, remote: RemoteProxies): Promise<RemoteServer> {
  const { log } = services;
  const refusals = createRefusals(remote, (error) => log?.warn({ err: error }, 'a refusal was not recorded'));
  const admit = (chainDer: readonly Buffer[]): void => mustBeProxy(remote, chainDer);
  const server = createGrpcCheckServer(services, {
    admit: (connection) => {
      const { peer = '', peerChain = [] } = connection ?? {};
      try {
        admit(peerChain);
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        refusals.tell({ peer, error }, peerChain);
        server.closeConnections((open) => open === connection);
        throw error;
      }
    },
    refused: (refusal) => refusals.tell(refusal),
  });
  const tls = (): ServerTls => ({
    ...remote.tls(),
    verifyClient: (chainDer) => {
      try {
        admit(chainDer);
      } catch (error) {
        refusals.identify(error, chainDer);
        throw error;
      }
    },
  });
  const isOut = ({ peerChain }: Connection): boolean => {
    try {
      admit(peerChain);
      return false;
    } catch {
      return true;
    }
  };
  const recheck = (): number => {
    const ended = server.closeConnections(isOut);
    if (ended > 0) log?.info({ ended }, 'connections of proxies that may not ask any more were ended');
    return ended;
  };
  const port = await server.listen(remote.listen, tls());
  remote.follow(() => {
    try {
      server.replaceTls(tls());
    } catch (error) {
      log?.error({ err: error }, 'the listener for proxies did not take the new identity; the old one stays');
    }
    recheck();
  });
  return {
    port,
    recheck,
    task: refusals.task,
    close: async (graceMs) => {
      await server.close(graceMs);
      refusals.flush();
    },
  };
}

/** Throws what a proxy is refused with. */
function mustBeProxy({ verify, proxies, rowOf }: RemoteProxies, chainDer: readonly Buffer[]): void {
  const { uri, device = '' } = verify(chainDer);
  if (!proxies.has(uri)) throw authzErrors.error('AUTHZ_PROXY_NOT_LISTED', `${uri} is no proxy that may ask here`);
  const row = rowOf(device);
  if (row.contained || admitsNothing(row)) {
    throw authzErrors.error('AUTHZ_PROXY_HELD_BACK', `${device} is contained or unknown, and so is ${uri}`);
  }
}

interface Refusals {
  /** Who was refused, where the certificate says so and verifies. */
  readonly identify: (error: unknown, chainDer: readonly Buffer[]) => void;
  readonly tell: (refusal: Refusal, chainDer?: readonly Buffer[]) => void;
  readonly task: Task;
  readonly flush: () => void;
}

/** One event for the same refusal within a window, with a count: who knocks must not be able to fill the spool. */
function createRefusals({ emit, clock, verify }: RemoteProxies, onLost: (error: unknown) => void): Refusals {
  const window = createEventWindow(emit, clock, refusalWindowMs, maxDistinctRefusals, onLost);
  const identified = new WeakMap<Error, string>();

  const deviceOf = (chainDer: readonly Buffer[]): string | undefined => {
    try {
      return verify(chainDer).device;
    } catch {
      return undefined;
    }
  };

  return {
    identify: (error, chainDer) => {
      const device = deviceOf(chainDer);
      if (device !== undefined && error instanceof Error) identified.set(error, device);
    },
    tell: ({ peer, error }, chainDer) => {
      const code = error instanceof CodedError ? error.code : 'PEER_REFUSED';
      const subject = chainDer === undefined ? identified.get(error) : deviceOf(chainDer);
      const { address, port } = splitConnection(peer);
      const data: NewEventData = {
        ...(subject === undefined ? {} : { subject }),
        ...(address === '' ? {} : { source_ip: address, source_port: port }),
        enforcement_point: 'ext-authz',
        code,
      };
      const event = (of: NewEventData) => () =>
        ({ kind: 'authz', activity: 'refuse', severity: 'medium', data: of }) as const;
      window.add({
        key: JSON.stringify([code, subject, address]),
        event: event({ ...data, message: error.message }),
        coarse: () => ({ key: code, event: event({ enforcement_point: 'ext-authz', code }) }),
      });
    },
    task: periodically(clock, refusalWindowMs, async () => await Promise.resolve(window.flush())),
    flush: () => window.flush(true),
  };
}
