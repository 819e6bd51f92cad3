// What the packet rules say of a connection that has reached one of our own listeners, where no kernel has asked them: in
// mode `proxies` it is refused at accept, in mode `simulate` only counted.
import { arrivalsOf, judgeTable, tableOf, type TableState } from '../../enforcer/firewall/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { FirewallMode } from './first-rules.ts';

export interface ConnectionGuard {
  /** Whether the listener for that interface may serve the source address. */
  readonly admits: (interfaceName: string, source: string) => boolean;
  /** Connections judged, and by rule those that the rules would drop. */
  readonly counts: () => { readonly judged: number; readonly denied: Readonly<Record<string, number>> };
}

export function createConnectionGuard(parts: {
  readonly mode: FirewallMode;
  readonly state: () => TableState | undefined;
  readonly slice: () => Slice | undefined;
  readonly now: () => number;
}): ConnectionGuard {
  let judged = 0;
  const denied: Record<string, number> = {};
  const ruleAgainst = (name: string, source: string): string | undefined => {
    const state = parts.state();
    const slice = parts.slice();
    const service = slice?.interfaces.find((entry) => entry.name === name && entry.device === slice.device);
    if (state === undefined || service === undefined) return 'no-policy';
    const { plan } = state.candidate ?? state.live;
    const local = source === '::1' || source.startsWith('127.');
    const destination = plan.own.find((own) => own.includes(':') === source.includes(':')) ?? source;
    // Where it came in is not known here: the inventory is believed, the address answered a handshake.
    const [place = { inInterface: 'any' }] = arrivalsOf(plan, source);
    const { verdict, rule } = judgeTable(
      tableOf(state),
      {
        way: 'in',
        source,
        destination,
        protocol: service.transport,
        sport: 40_000,
        dport: service.port,
        ...(local ? { inInterface: 'lo' } : place),
        state: 'new',
        direction: 'original',
        proxyListens: true,
      },
      parts.now(),
    );
    return verdict === 'accept' ? undefined : rule;
  };
  return {
    admits: (name, address) => {
      if (parts.mode !== 'proxies' && parts.mode !== 'simulate') return true;
      judged += 1;
      const rule = ruleAgainst(name, address.replace(/^::ffff:(?=\d+\.)/i, ''));
      if (rule !== undefined) denied[rule] = (denied[rule] ?? 0) + 1;
      return rule === undefined || parts.mode === 'simulate';
    },
    counts: () => ({ judged, denied: { ...denied } }),
  };
}
