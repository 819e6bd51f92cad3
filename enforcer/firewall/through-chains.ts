// Rules about packets that this host forwards, one after the other in both directions of their flows.
import { admit } from './flow-rules.ts';
import { families } from './generation-input.ts';
import type { GenerationInput, ThroughRule } from './generation-input.ts';
import type { Chain, Family, Match, Rule, Verdict } from './plan.ts';
import { back, cut, direction, lookup, state } from './rule-parts.ts';

/** What passes and what is only noted, tier by tier; denies have been asked before. */
export function openingThrough(input: GenerationInput): Chain[] {
  return (['admin', 'baseline'] as const)
    .map((tier) =>
      throughTier(input, tier, (rule) => rule.verdict !== 'deny' || rule.observe, { allow: admit, pass: back }),
    )
    .filter((chain) => chain.rules.length > 0);
}

interface Without {
  /** What the two verdicts that do not drop do with a packet here. */
  readonly allow: Verdict;
  readonly pass: Verdict;
}

export function throughTier(
  input: GenerationInput,
  tier: ThroughRule['tier'],
  which: (rule: ThroughRule) => boolean,
  verdicts: Without,
): Chain {
  const rules = families.flatMap((family) =>
    input.families[family].through
      .filter((rule) => rule.tier === tier && which(rule))
      .flatMap((rule) => throughRules(family, rule, verdicts)),
  );
  return { name: `through_${tier}`, rules };
}

/** A rule about forwarded packets, for both directions of its flows. */
function throughRules(family: Family, rule: ThroughRule, verdicts: Without): Rule[] {
  const ways = [
    { flow: 'original', from: 'source', to: 'destination', service: 'dport' },
    { flow: 'reply', from: 'destination', to: 'source', service: 'sport' },
  ] as const;
  return ways.flatMap(({ flow, from, to, service }): Rule[] => {
    const match: Match[] = [
      direction(flow),
      ...rule.transport,
      ...(rule.ports === undefined
        ? []
        : [{ kind: 'port' as const, field: service, range: [...rule.ports] as [number, number] }]),
      ...(rule.via === undefined
        ? []
        : [
            {
              kind: 'interface' as const,
              direction: flow === 'original' ? ('in' as const) : ('out' as const),
              name: rule.via,
            },
          ]),
      lookup(rule.from, from),
      ...(rule.to === undefined ? [] : [lookup(rule.to, to)]),
    ];
    if (rule.observe) {
      return flow === 'reply'
        ? []
        : [{ family, match: [state('new'), ...match], log: `observe:${rule.id}`, verdict: { kind: 'continue' } }];
    }
    // Denies have been asked before; there an allow only keeps those behind it off.
    const asksNew = (guard: Rule): boolean => guard.match.some(({ kind }) => kind === 'state');
    const guards =
      verdicts.allow.kind === 'admit' ? rule.guards.filter((guard) => flow === 'original' || !asksNew(guard)) : [];
    if (rule.verdict !== 'deny') {
      return [
        ...guards.map((guard): Rule => ({ ...guard, family, match: [...match, ...guard.match] })),
        { family, match, verdict: verdicts[rule.verdict] },
      ];
    }
    return cut(`firewall:${rule.id}`).map((end) => ({ ...end, family, match: [...match, ...end.match] }));
  });
}
