// What the running edge answers about its packet rules, for `edgeward firewall show` and `can`: /firewall, and
// /firewall/can?from=&to=&protocol=&port=. Only its own end is known here.
import { canReach, type ReachEnd } from '../../enforcer/firewall/index.ts';
import type { Transport } from '../../enforcer/firewall/index.ts';
import type { SubjectState } from '../../policy/engine/index.ts';
import type { EdgeCore } from './core.ts';
import type { Enforcement } from './enforcement.ts';

type Parts = Pick<Enforcement, 'activation' | 'firewall' | 'orders'>;

export function firewallViews(
  { activation, firewall, orders }: Parts,
  { deviceId, trusted }: Pick<EdgeCore, 'deviceId' | 'trusted'>,
) {
  const end = (): ReachEnd | undefined => {
    const state = firewall.firewall?.state();
    if (state === undefined) return undefined;
    const slice = activation.current()?.bundle.slice;
    const states = Object.fromEntries(
      (slice?.devices ?? []).map(({ id }): [string, SubjectState] => [id, orders.subjectState(id).state]),
    );
    return { state, slice, states };
  };
  return {
    '/firewall': async () => await firewall.firewall?.show(),
    '/firewall/can': (query: URLSearchParams) => {
      const [from, to, port] = [query.get('from') ?? '', query.get('to') ?? '', Number(query.get('port') ?? 0)];
      const protocol = protocols.find((name) => name === query.get('protocol'));
      const own = end();
      if (own === undefined || protocol === undefined || ![from, to].includes(deviceId)) return undefined;
      const question = { from, to, protocol, ...(port > 0 ? { port } : {}), now: trusted.now() };
      return canReach(question, from === deviceId ? { from: own } : { to: own });
    },
  };
}

const protocols: readonly Transport[] = ['tcp', 'udp', 'sctp', 'udplite', 'icmp', 'icmpv6'];
