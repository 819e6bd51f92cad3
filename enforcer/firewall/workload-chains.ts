// Chains of the users and control groups whose outgoing packets are judged by maps of their own; workloads.ts has the design.
import { answers, dispatch, ending, grantRules, isRequest, outgoing, pathOf } from './flow-rules.ts';
import type { View } from './flow-rules.ts';
import { families, userSets } from './generation-input.ts';
import type { GenerationInput, UserMaps } from './generation-input.ts';
import { baseSets, seenSets } from './plan.ts';
import type { Chain, Family, Field, Match, Rule, Verdict } from './plan.ts';
import { accept, back, direction, goto, jump, lookup, notIn, notProtocol, state } from './rule-parts.ts';

type UserChain = 'to' | 'back' | 'deny' | 'late';

/** Chains that lead on for one user or control group. */
export const userChain = (what: UserChain, key: string): string => `${what}_${key}`;
/** The set of one control group, and that of all of a level. */
export const groupSet = (key: string): string => `cgroup_${key}`;
export const groupsOfLevel = (level: number): string => `cgroups_${level}`;

export const ofWorkload: Match = lookup(userSets.mark, 'connection-mark');
const inGroup = (set: string, level: number): Match => ({ kind: 'cgroup', level, set, not: false });

/** A user with rules of its own is judged by these, whatever group it is in: nobody leaves a deny by being moved. */
export function byUser(input: GenerationInput, map: string, what: UserChain, match: Match[] = []): Rule[] {
  if (input.users.length === 0) return [];
  return [
    { match, verdict: { kind: 'dispatch', fields: ['uid'], map } },
    ...input.users.flatMap(({ key, group }): Rule[] =>
      group === undefined
        ? []
        : [{ match: [...match, inGroup(group.set, group.level)], verdict: goto(userChain(what, key)) }],
    ),
  ];
}

/** Where outgoing packets of a workload are accepted, and answers to them. */
export const toWorkload: Verdict = goto('workload_out');
/** One of these matches what any of them sends. */
export const ofUsers = (groupLevels: readonly number[]): Match[] => [
  lookup(userSets.all, 'uid'),
  ...groupLevels.map((level) => inGroup(groupsOfLevel(level), level)),
];
export const backToWorkload: Verdict = goto('workload_back');

/** Packets of users are judged by their own denies; answers to them by what they send next. */
export function userDenies(input: GenerationInput, view: View, what: 'deny' | 'late'): Rule[] {
  if (input.users.length === 0 || view.flow === 'in') return [];
  if (isRequest(view)) return byUser(input, what === 'deny' ? userSets.denies : userSets.lateDenies, what);
  return [{ match: [ofWorkload], verdict: back }];
}

/** Each packet that a user sends, however well its flow is known: another one may send from the same port now. */
export const judgedAlways = ({ users }: GenerationInput): Rule[] =>
  users.length === 0
    ? []
    : ofUsers([...new Set(users.flatMap(({ group }) => group?.level ?? []))]).map((one) => ({
        match: [direction('original'), one],
        verdict: back,
      }));

export function workloadChains(input: GenerationInput): Chain[] {
  if (input.users.length === 0) return [];
  const seen = (side: 'from' | 'to', field: Field): Rule[] =>
    families.map((family) => ({
      family,
      match: [lookup(baseSets.identified[family], field)],
      verdict: { kind: 'remember', set: seenSets[side][family], field },
    }));
  return [
    {
      name: 'workload_out',
      rules: [...seen('to', 'destination'), { match: [], verdict: { kind: 'admit', map: userSets.markOf } }],
    },
    {
      name: 'workload_back',
      rules: [
        // TCP acknowledges what it gets, and that packet is judged; of others only the mark says whose they are.
        { match: [notProtocol('tcp'), notIn(userSets.mark, 'connection-mark')], verdict: back },
        ...seen('from', 'source'),
        { match: [], verdict: accept },
      ],
    },
    ...input.users.flatMap((user) => [outgoingOf(input, user), answersTo(user)]),
  ];
}

/** Everything that decides about an outgoing packet of this user, in the order of outbound_to. */
function outgoingOf(input: GenerationInput, { key, families: sets }: UserMaps): Chain {
  const each = (rules: (family: Family) => Rule[]): Rule[] => families.flatMap(rules);
  return {
    name: userChain('to', key),
    rules: [
      ...each((family) => dispatch(family, sets[family].observedAdmin, outgoing, [state('new')])),
      ...each((family) => dispatch(family, sets[family].admin, outgoing)),
      ...each((family) => [
        ...grantRules(family, input.families[family], outgoing, toWorkload),
        { family, match: [lookup(sets[family].reached, ...pathOf(outgoing))], verdict: toWorkload },
      ]),
      ...each((family) => dispatch(family, sets[family].observedBaseline, outgoing, [state('new')])),
      { match: [], verdict: jump('late_outbound_to') },
      ...each((family) => dispatch(family, sets[family].baseline, outgoing)),
      ...ending('default-out'),
    ],
  };
}

function answersTo({ key, families: sets }: UserMaps): Chain {
  return {
    name: userChain('back', key),
    rules: families.flatMap((family) => [
      ...dispatch(family, sets[family].admin, answers),
      { family, match: [lookup(sets[family].reached, ...pathOf(answers))], verdict: jump('workload_back') },
      ...dispatch(family, sets[family].baseline, answers),
    ]),
  };
}
