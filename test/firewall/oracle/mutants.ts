// Faults that a compiler could have, made in plans that it wrote.
import type { FirewallPlan } from '../../../enforcer/firewall/index.ts';

type Ruleset = FirewallPlan['generation'];
type SetOf = Ruleset['sets'][number];
type ChainOf = Ruleset['chains'][number];

const inSets = (ruleset: Ruleset, name: RegExp, change: (set: SetOf) => SetOf): Ruleset => ({
  ...ruleset,
  sets: ruleset.sets.map((set) => (name.test(set.name) ? change(set) : set)),
});
const inChains = (ruleset: Ruleset, name: RegExp, change: (chain: ChainOf) => ChainOf): Ruleset => ({
  ...ruleset,
  chains: ruleset.chains.map((chain) => (name.test(chain.name) ? change(chain) : chain)),
});
const fewer = (set: SetOf): SetOf => ({ ...set, elements: set.elements.slice(1) });
const withoutLog = (chain: ChainOf, log: string): ChainOf => ({
  ...chain,
  rules: chain.rules.filter((rule) => rule.log !== log),
});

export const mutants: Readonly<Record<string, (plan: FirewallPlan) => FirewallPlan>> = {
  'a grant loses a path': (plan) => ({ ...plan, generation: inSets(plan.generation, /^served/, fewer) }),
  'a stand-in gets nothing': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^prerouting/, (chain) => ({
      ...chain,
      rules: chain.rules.filter(({ verdict }) => verdict.kind !== 'divert' || verdict.port < 25_000),
    })),
  }),
  'a waiver opens nothing': (plan) => ({
    ...plan,
    generation: inSets(plan.generation, /^opened[46]/, (set) => ({ ...set, elements: [] })),
  }),
  'a waiver opens flows of before': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^inbound_from/, (chain) => ({
      ...chain,
      rules: chain.rules.map((rule) =>
        rule.verdict.kind === 'admit' && rule.verdict.map === 'opened_mark_of'
          ? { ...rule, match: rule.match.filter(({ kind }) => kind !== 'state') }
          : rule,
      ),
    })),
  }),
  'a peer is not expected where it is': (plan) => ({
    ...plan,
    generation: inSets(plan.generation, /^expected_mac/, fewer),
  }),
  'no source is forged': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^antispoof/, (chain) => withoutLog(chain, 'spoofed')),
  }),
  'a quarantined address is forgotten': (plan) => ({
    ...plan,
    base: plan.base.map((set) => (/^quarantined[46]$/.test(set.name) ? fewer(set) : set)),
  }),
  'a revoked MAC is forgotten': (plan) => ({
    ...plan,
    base: plan.base.map((set) => (set.name === 'revoked_mac' ? { ...set, elements: [] } : set)),
  }),
  'the denies of the admin tier lose a box': (plan) => ({
    ...plan,
    denies: inSets(plan.denies, /^admin_deny_in/, fewer),
  }),
  'port ranges are one too wide': (plan) => ({
    ...plan,
    denies: inSets(plan.denies, /_ported$/, (set) => ({
      ...set,
      elements: set.elements.map((element) => ({
        ...element,
        key: element.key.map((text, at) =>
          at === 2 ? text.replace(/-(\d+)$/, (_, end) => `-${Math.min(65_535, Number(end) + 1)}`) : text,
        ),
      })),
    })),
  }),
  'the baseline tier is asked before the grants': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^inbound_from$/, (chain) => {
      const late = chain.rules.filter(({ verdict }) => verdict.kind === 'jump');
      return { ...chain, rules: [...late, ...chain.rules.filter((rule) => !late.includes(rule))] };
    }),
  }),
  'forwarded: pass is an allow': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^through_admin$/, (chain) => ({
      ...chain,
      rules: chain.rules.map((rule) =>
        rule.verdict.kind === 'return' ? { ...rule, verdict: { kind: 'admit' as const, map: 'epoch_mark' } } : rule,
      ),
    })),
  }),
  'answers are judged as requests': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^inbound_back$/, (chain) => ({ ...chain, rules: [] })),
  }),
  'who exceeds a limit is admitted': (plan) => ({
    ...plan,
    generation: inChains(plan.generation, /^(yes_|through_)/, (chain) => ({
      ...chain,
      rules: chain.rules.filter((rule) => rule.log?.startsWith('limit:') !== true),
    })),
  }),
  'a deny of a grant is forgotten': (plan) => ({
    ...plan,
    denies: inSets(plan.denies, /^closed_/, (set) => ({ ...set, elements: [] })),
  }),
};
