// An edge that answers proxies on other hosts, in one process: the edge's own wiring (bin/edge/remote-proxies.ts) and real TLS,
// over an identity, orders and a time that the test sets.
import type { TestContext } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { EdgeConfig } from '../../bin/edge/config.ts';
import type { EdgeCore } from '../../bin/edge/core.ts';
import { remoteProxies } from '../../bin/edge/remote-proxies.ts';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import { type AuthzPorts, serveAuthz } from '../../enforcer/authz/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import type { TestAuthority, TestSvid } from './pki.ts';

export interface RemoteEdge {
  readonly port: number;
  readonly authority: TestAuthority;
  readonly events: NewEvent[];
  /** State of a device; `trusted` where nothing is said. */
  readonly states: Map<string, SubjectState>;
  /** Serial numbers. */
  revoked: ReadonlySet<string>;
  now: number;
  /** The identity and roots that the edge takes, as after a renewal. */
  readonly renew: (svid: TestSvid, roots?: readonly Buffer[]) => void;
  /** As after a change of orders. Says how many connections ended. */
  readonly recheck: () => number;
}

export async function openRemoteEdge(
  t: TestContext,
  authority: TestAuthority,
  ports: AuthzPorts,
  { uri, proxies }: { readonly uri: string; readonly proxies: readonly string[] },
): Promise<RemoteEdge> {
  const { trustDomain } = authority;
  const events: NewEvent[] = [];
  const followers: (() => void)[] = [];
  const identityOf = (svid: TestSvid, roots: readonly Buffer[]) => ({
    keys: svid.keys,
    chain: [svid.der, authority.intermediate],
    anchors: { trustDomain, roots },
  });
  let identity = identityOf(authority.issue(uri), [authority.root]);
  let view: Pick<SubjectView, 'revoked'> = { revoked: new Set() };
  const states = new Map<string, SubjectState>();
  const edge = {
    authority,
    events,
    states,
    get revoked() {
      return view.revoked;
    },
    set revoked(revoked) {
      view = { revoked };
    },
    now: Date.now(),
    renew: (svid: TestSvid, roots: readonly Buffer[] = [authority.root]) => {
      identity = identityOf(svid, roots);
      for (const follower of followers) follower();
    },
    port: 0,
    recheck: () => server.remote?.recheck() ?? -1,
  };
  const core = {
    config: { authz: { tls: { listen: '127.0.0.1:0', proxies } } } as unknown as EdgeConfig,
    own: {
      current: () => identity,
      anchors: () => identity.anchors,
      follow: (follower: () => void) => followers.push(follower),
    },
    trusted: { now: () => edge.now },
    emit: (event: NewEvent) => {
      events.push(event);
      return Promise.resolve();
    },
  } as unknown as EdgeCore;
  const remote = remoteProxies(core, {
    subjectState: (id) => ({ state: states.get(id) ?? 'trusted', attributes: {} }),
    view: () => view as SubjectView,
  });
  const server = await serveAuthz(ports, () => true, { grpc: [], forwardAuthSocket: undefined, remote });
  t.after(async () => await server.close(0));
  edge.port = server.remote?.port ?? 0;
  return edge;
}
