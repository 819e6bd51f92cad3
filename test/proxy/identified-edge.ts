// The proxies of an edge as bin/edge wires them, over an authority, orders and a time that the test sets: plc-1 serves
// `plc-modbus`. gateway-1 may read and write it with its SVID, whatever address it comes from, and nobody by an address.
// By the inventory 127.0.0.1 is gateway-1's address, and 127.0.0.2 gateway-2's.
import type { TestContext } from 'node:test';
import type { NewEvent } from '../../audit/spool/index.ts';
import type { EdgeConfig } from '../../bin/edge/config.ts';
import type { OwnIdentity } from '../../bin/edge/identity.ts';
import { createProxies, type Proxies } from '../../bin/edge/proxies.ts';
import { proxyIdentity } from '../../bin/edge/proxy-identity.ts';
import { createSubjects } from '../../bin/edge/subjects.ts';
import type { SubjectView } from '../../enforcer/activation/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { compileSlice, type SubjectState } from '../../policy/engine/index.ts';
import { createLogger } from '../../runtime/log.ts';
import { freePort } from '../support/free-ports.ts';
import { createTestAuthority, type TestAuthority, type TestSvid } from '../support/pki.ts';
import { readOnlySlice } from './world.ts';

const forever = Number.MAX_SAFE_INTEGER;

const device = (id: string, address: string): Slice['devices'][number] => ({
  id,
  labels: {},
  interfaces: [{ name: 'eth0', network: 'cell', address }],
});

const [modbusGrant] = readOnlySlice.grants;
if (modbusGrant === undefined) throw new Error('the slice has a grant');

/** Modbus by SVID. */
export const svidSlice: Slice = {
  ...readOnlySlice,
  devices: [device('gateway-1', '127.0.0.1'), device('gateway-2', '127.0.0.2')],
  grants: [{ ...modbusGrant, id: 'gateway-by-svid', binding: 'svid' }],
};

export interface IdentifiedEdge {
  readonly port: number;
  readonly authority: TestAuthority;
  /** SVID that the edge shows. */
  readonly own: () => TestSvid;
  readonly events: NewEvent[];
  readonly proxies: Proxies;
  /** State of a device; `trusted` where nothing is said. */
  readonly states: Map<string, SubjectState>;
  /** Serial numbers; the edge looks at open connections at once, as after orders. */
  readonly revoke: (...serials: readonly string[]) => void;
  now: number;
  /** The policy in force. */
  slice: Slice;
  /** The identity that the edge takes, as after a renewal. */
  readonly renew: (svid: TestSvid, roots?: readonly Buffer[]) => void;
}

interface Differences {
  readonly slice?: Slice;
  /** That is served; default plc-modbus. */
  readonly interface?: string;
  readonly authority?: TestAuthority;
  /** Device that the edge is on; default plc-1. */
  readonly device?: string;
  readonly egress?: EdgeConfig['egress'];
}

/** In front of `upstreamPort` on 127.0.0.1, until the test ends; 0 for an edge that serves nothing. */
export async function openIdentifiedEdge(
  t: TestContext,
  upstreamPort: number,
  more: Differences = {},
): Promise<IdentifiedEdge> {
  const authority = more.authority ?? createTestAuthority('plant.example');
  const events: NewEvent[] = [];
  const followers: (() => void)[] = [];
  let ownSvid = authority.issue(`spiffe://${authority.trustDomain}/device/${more.device ?? 'plc-1'}`);
  let roots: readonly Buffer[] = [authority.root];
  const identityOf = () => ({
    keys: ownSvid.keys,
    chain: [ownSvid.der, authority.intermediate],
    anchors: { trustDomain: authority.trustDomain, roots },
  });
  let identity = identityOf();
  const own = {
    current: () => identity,
    anchors: () => identity.anchors,
    follow: (follower: () => void) => followers.push(follower),
  } as unknown as OwnIdentity;
  let view: Pick<SubjectView, 'revoked'> = { revoked: new Set() };
  const states = new Map<string, SubjectState>();
  const port = await freePort();
  const edge = {
    port,
    authority,
    events,
    states,
    now: Date.now(),
    slice: more.slice ?? svidSlice,
    own: () => ownSvid,
    revoke: (...serials: readonly string[]) => {
      view = { revoked: new Set(serials) };
      proxies.recheck();
    },
    renew: (svid: TestSvid, newRoots: readonly Buffer[] = [authority.root]) => {
      ownSvid = svid;
      roots = newRoots;
      identity = identityOf();
      for (const follower of followers) follower();
    },
  };
  const subjects = createSubjects(
    own,
    {
      subjectState: (id) => ({ state: states.get(id) ?? 'trusted', attributes: {} }),
      view: () => view as SubjectView,
    },
    () => edge.now,
  );
  const engines = new WeakMap<Slice, ReturnType<typeof compileSlice>>();
  const engine = (): ReturnType<typeof compileSlice> => {
    const known =
      engines.get(edge.slice) ??
      compileSlice(edge.slice, { digest: 'cd'.repeat(32), softExpiry: forever, hardExpiry: forever });
    engines.set(edge.slice, known);
    return known;
  };
  const proxies = createProxies({
    config: {
      proxies:
        upstreamPort === 0
          ? []
          : [{ interface: more.interface ?? 'plc-modbus', listen: port, upstream: `127.0.0.1:${upstreamPort}` }],
      egress: more.egress ?? [],
    } as unknown as EdgeConfig,
    transparent: false,
    admits: () => true,
    emit: (event) => {
      events.push(event);
      return Promise.resolve();
    },
    log: createLogger({ name: 'test', level: 'silent' }),
    decide: (request, { usage }) => engine().decide(request, 'fresh', usage),
    safety: { spare: () => undefined, mayServe: () => false },
    usage: () => noRequestUsage,
    loginOf: () => undefined,
    subjectOf: (address) => subjects.fromAddress(address, edge.slice),
    subjectOfChain: (chain) => subjects.fromChain(chain).subject,
    identity: proxyIdentity(own, () => subjects),
    slice: () => edge.slice,
    now: () => edge.now,
  });
  const stop = new AbortController();
  await proxies.listen();
  const running = proxies.task(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  return Object.assign(edge, { proxies });
}
