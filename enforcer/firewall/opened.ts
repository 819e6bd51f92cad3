// Interfaces that a waiver opens while nobody listens for them: what grants admit goes to the server itself, and not a moment
// longer. Their flows have marks of their own and are judged by every packet: TPROXY leaves them alone, because the server has a
// socket for them, so they end with the next plan, which an edge that is back loads first; or when the waiver ends, and the
// kernel forgets the elements.
import { enforcerDeathOf, type SliceInterface } from '../../policy/bundle/index.ts';
import type { Build } from './build.ts';
import { pathType, wantedOf } from './build.ts';
import type { View } from './flow-rules.ts';
import { earlier } from './openings.ts';
import type { FirewallState, Opening } from './openings.ts';
import { openedMark } from './plan.ts';
import type { Family, Field, Match, Rule } from './plan.ts';
import { flowErrors, goto, lookup, state } from './rule-parts.ts';

const sets = { mark: 'opened_mark', markOf: 'opened_mark_of' } as const;
const isOpened: Match = lookup(sets.mark, 'connection-mark');

/** End of the waiver in force for an interface of this device that is behind a proxy; milliseconds since the epoch. */
export function openUntil(service: SliceInterface | undefined, at: Pick<FirewallState, 'now' | 'timeTrusted'>) {
  if (service === undefined) return undefined;
  // While nobody vouches for the time, the waiver may have ended.
  const now = at.timeTrusted === false ? Infinity : at.now;
  return enforcerDeathOf(service, now) === 'open' ? service.openUntil : undefined;
}

/** The set of what is open, by family; undefined for nothing. */
export function openedSet(
  family: Family,
  { slice, host, generation, proxyPorts }: Build,
  served: readonly Opening[],
  at: FirewallState,
): string | undefined {
  if (host.proxiesListen !== true) return undefined;
  const wanted = served.flatMap((opening) => {
    const service = slice.interfaces.find(({ name, device }) => name === opening.interface && device === slice.device);
    const until = openUntil(service, at);
    if (until === undefined || opening.transport !== 'tcp' || proxyPorts.get(opening.interface) === undefined)
      return [];
    return [{ ...wantedOf(opening), until: earlier(until, opening.until) ?? until }];
  });
  if (wanted.length === 0) return undefined;
  generation.add(sets.mark, 'flows past a dead proxy', ['mark'], [{ key: [String(openedMark(at.epoch))] }]);
  const marks = ['ipv4', 'ipv6'].map((key) => ({ key: [key], mark: openedMark(at.epoch) }));
  generation.add(sets.markOf, 'flows past a dead proxy', ['nf_proto'], marks, { data: 'mark' });
  return generation.add(`opened${family}`, 'open past a dead proxy', pathType(family), wanted, { timeout: true });
}

/** Behind the rules for what a proxy or a stand-in has taken: nobody has. */
export function openedRules(family: Family, set: string | undefined, key: Field[], service: View['service']): Rule[] {
  if (set === undefined) return [];
  const path = lookup(set, ...key);
  if (service === 'sport') return [{ family, match: [isOpened, path], verdict: goto('accept_out') }];
  return [
    { family, match: [state('new'), path], verdict: { kind: 'admit', map: sets.markOf } },
    { family, match: [isOpened, path], verdict: goto('accept_in') },
  ];
}

/** What routers say of such flows. */
export const openedErrors = (anything: boolean): Rule[] => (anything ? flowErrors(isOpened) : []);
