// The firewall in words, for `edgeward firewall show` and `plan`: what is loaded, every rule with its line and counters by
// stage, the sets with their sizes; and a plan as lines that can be compared.
import type { ListedRule, Listing } from './listing.ts';
import { short } from './keys.ts';
import type { FirewallPlan, PlanRelease, SetDefinition } from './plan.ts';
import { originOf, type RuleOrigin } from './provenance.ts';
import { stageWordsOf } from './reach.ts';
import type { FirewallStatus } from './status.ts';
import { plansOf, tableOf } from './table.ts';
import type { Layer, TableState } from './table.ts';

interface LayerView {
  readonly slot: number;
  readonly epoch: number;
  /** Version of the bundle; 0 without one. */
  readonly bundle: number;
  readonly release?: PlanRelease;
}

export interface RuleView extends Omit<RuleOrigin, 'release' | 'activity'> {
  readonly stage: string;
  readonly activity: RuleOrigin['activity'] | 'admit';
  readonly packets: number;
  readonly bytes: number;
}

export interface FirewallView {
  readonly status: FirewallStatus;
  readonly generation?: LayerView;
  readonly candidate?: LayerView & { readonly secondsLeft: number };
  /** Never confirmed; only their denies hold. */
  readonly closing: readonly LayerView[];
  /** In the order of the table; rules of one id and stage together. */
  readonly rules: readonly RuleView[];
  readonly sets: readonly { readonly name: string; readonly purpose: string; readonly elements: number }[];
}

export function viewOf(
  state: TableState | undefined,
  listing: Listing | undefined,
  status: FirewallStatus,
  now: number,
): FirewallView {
  const candidate = state?.candidate;
  const definitions = state === undefined ? [] : tableOf(state).sets;
  return {
    status,
    ...(state === undefined ? {} : { generation: layerView(state.live) }),
    ...(candidate === undefined
      ? {}
      : {
          candidate: { ...layerView(candidate), secondsLeft: Math.max(0, Math.ceil((candidate.until - now) / 1_000)) },
        }),
    closing: (state?.closing ?? []).map(layerView),
    rules: rulesOf(plansOf(state), listing?.rules ?? []),
    sets: definitions.map(({ name, purpose }) => ({
      name,
      purpose,
      elements: listing?.sets.get(name)?.elements.length ?? 0,
    })),
  };
}

function layerView({ slot, plan }: Layer): LayerView {
  const { epoch, bundle, release } = plan;
  return { slot, epoch, bundle, ...(release === undefined ? {} : { release }) };
}

function rulesOf(plans: readonly FirewallPlan[], listed: readonly ListedRule[]): RuleView[] {
  const byChain = new Map<string, string>(
    plans.flatMap((plan) =>
      Object.keys(plan.places)
        .filter((id) => id.startsWith('firewall:'))
        .map((id) => [`yes_${short(id.slice('firewall:'.length))}`, id] as const),
    ),
  );
  const views = new Map<string, RuleView>();
  for (const { chain, log, admits, packets, bytes } of listed) {
    if (log === '' && !admits) continue;
    const stage = stageWordsOf(chain);
    const rule = log === '' ? (byChain.get(chain.replace(/^g\d+_/, '')) ?? '') : log.replace(/^ew:/, '');
    const key = `${stage} ${log === ''} ${rule}`;
    const known = views.get(key);
    const { release: _, ...origin } = originOf(plans, rule);
    views.set(key, {
      ...(known ?? {
        ...origin,
        stage,
        ...(log === '' ? { activity: 'admit' as const, decision: 'allow' as const } : {}),
      }),
      packets: (known?.packets ?? 0) + packets,
      bytes: (known?.bytes ?? 0) + bytes,
    });
  }
  return [...views.values()];
}

/** One line for each thing that a plan opens, closes or knows, in a fixed order: two plans compare as text. */
export function planLines(plan: FirewallPlan): string[] {
  const of = (what: string, sets: readonly SetDefinition[]): string[] =>
    sets.flatMap(({ name, elements, data }) =>
      data === 'mark' || name.startsWith('epoch_')
        ? []
        : elements.map(({ key, comment, until }) =>
            [
              `${what} ${name}: ${key.join(' ')}`,
              ...(comment === undefined ? [] : [`by ${comment}${placesOf(plan, comment)}`]),
              ...(until === undefined ? [] : [`until ${new Date(until).toISOString()}`]),
            ].join('  '),
          ),
    );
  return [
    ...of('always', plan.base),
    ...of('closes', plan.denies.sets),
    ...of(
      'opens',
      plan.generation.sets.filter((set) => !isKnowledge(set)),
    ),
    ...of('knows', plan.generation.sets.filter(isKnowledge)),
    ...plan.warnings.map((warning) => `warning ${warning}`),
  ];
}

const isKnowledge = ({ name }: SetDefinition): boolean => /^(inventory|expected|contained)/.test(name);

function placesOf(plan: FirewallPlan, comment: string): string {
  const places = comment
    .split(', ')
    .flatMap((id) => ['grant', 'firewall', 'deny', 'interface'].flatMap((kind) => plan.places[`${kind}:${id}`] ?? []));
  return places.length === 0 ? '' : ` (${places.join(', ')})`;
}
