// The firewall for people: what is loaded, and who reaches whom.
import type { FirewallView, ReachAnswer } from '../enforcer/firewall/index.ts';
import { table, timeText } from './io.ts';

export function formatView({ status, generation, candidate, closing, rules, sets }: FirewallView): string {
  const of = (layer: FirewallView['generation']): string =>
    layer === undefined
      ? 'none'
      : `slot ${layer.slot}, epoch ${layer.epoch}, ${layer.bundle === 0 ? 'no policy' : `version ${layer.bundle}`}` +
        (layer.release === undefined ? '' : `, commit ${layer.release.commit.slice(0, 12)} by ${layer.release.author}`);
  const contained = Object.entries(status.contained).flatMap(([kind, ids]) => ids.map((id) => `${id} (${kind})`));
  const blocked = Object.entries(status.blocked).map(([address, seconds]) => `${address} (${seconds} s)`);
  const staged = rules.filter(({ activity }) => activity === 'observe');
  return [
    `table       ${status.loaded ? 'loaded' : 'NOT LOADED'} by ${status.backend}${status.drift === undefined ? '' : `, CHANGED BY OTHERS: ${status.drift}`}`,
    `generation  ${of(generation)}`,
    ...(candidate === undefined
      ? []
      : [`candidate   ${of(candidate)}: falls back in ${candidate.secondsLeft} s unless confirmed`]),
    ...closing.map((layer) => `closes too  ${of(layer)}: never confirmed, its denies hold`),
    `failsafe    ${status.failsafe.map(({ address, port, transport }) => `${transport} ${address} port ${port}`).join(', ') || 'none'}`,
    `contained   ${contained.join(', ') || 'nobody'}`,
    `blocked     ${blocked.join(', ') || 'nobody'}`,
    ...(status.island ? ['ISLAND      only safety and island operations pass'] : []),
    `next change ${status.nextChange === undefined ? 'none by time' : timeText(status.nextChange)}`,
    ...status.warnings.map((warning) => `warning     ${warning}`),
    ...staged.map(
      ({ rule, observed, packets, place }) =>
        `STAGED      ${rule} would ${observed ?? 'have'} ${packets} packets (${place})`,
    ),
    '',
    table(
      ['stage', 'does', 'rule', 'place', 'packets', 'bytes'],
      rules.map(({ stage, activity, rule, place, packets, bytes }) => [stage, activity, rule, place, packets, bytes]),
      'no rules',
    ),
    '',
    table(
      ['set', 'elements', 'for'],
      sets.filter(({ elements }) => elements > 0).map(({ name, elements, purpose }) => [name, elements, purpose]),
      'no sets',
    ),
  ].join('\n');
}

export function formatReach({ reaches, ends, missing }: ReachAnswer): string {
  return [
    reaches ? 'yes' : 'no',
    ...ends.flatMap(
      ({ device, way, verdict, source, destination, rule, place, words, path, binding, peerState, proxied }) => [
        `${device} ${way === 'out' ? 'sends' : 'receives'}: ${verdict}, ${[rule, place === '' ? '' : `(${place})`, words].filter((text) => text !== '').join(' ')}`,
        `  ${source} to ${destination}; the other end is ${peerState}${binding === undefined ? '' : `, known by ${binding}`}${proxied ? '; through the proxy, which judges each request' : ''}`,
        `  path: ${path.join(' → ')}`,
      ],
    ),
    ...(missing === '' ? [] : [`missing: ${missing}`]),
  ].join('\n');
}
