// Makes a difference small: lines, parts of the matcher and columns are taken away while it stays one.
import { type Instance, lineText, type Matcher, modelText, policyText } from './language.ts';
import { type CompileCasbin, type Difference, judge, newTally } from './differential.ts';
import { putQuestion } from './question.ts';

const MAX_STEPS = 2_000;

export async function shrink(difference: Difference, compileCasbin: CompileCasbin): Promise<Difference> {
  let best = difference;
  let steps = 0;
  for (let smaller = true; smaller;) {
    smaller = false;
    for (const candidate of candidates({ ...best.instance, requests: [best.request] })) {
      if (++steps > MAX_STEPS) return best;
      const tally = newTally();
      judge(await putQuestion(candidate), compileCasbin, tally);
      const [still] = tally.differences;
      if (still === undefined || kindOf(still) !== kindOf(best)) continue;
      best = still;
      smaller = true;
      break;
    }
  }
  return best;
}

/** What somebody needs who wants to see it: model, policy, request, answers. */
export function reproducer({ instance, request, problem }: Difference): string {
  return [
    problem,
    ...modelText(instance).trimEnd().split('\n'),
    '-- policy.csv',
    policyText(instance),
    '-- request',
    JSON.stringify(request),
    ...(instance.delta === undefined
      ? []
      : [
          `-- from line ${instance.delta.from + 1} on by a delta, which takes away`,
          ...instance.delta.foreign.map(lineText),
        ]),
  ].join('\n');
}

/** The answers without the texts in them. */
const kindOf = ({ problem }: Difference): string => problem.replaceAll(/"[^"]*"|:.*/g, '');

function* candidates(instance: Instance): Generator<Instance> {
  if (instance.delta !== undefined) yield { ...instance, delta: undefined };
  for (let size = instance.lines.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < instance.lines.length; at += size) {
      yield { ...instance, lines: instance.lines.toSpliced(at, size) };
    }
  }
  for (const matcher of simpler(instance.matcher)) yield { ...instance, matcher };
  for (const name of instance.roles.keys()) {
    yield { ...instance, roles: new Map([...instance.roles].filter(([other]) => other !== name)) };
  }
}

function* simpler(matcher: Matcher): Generator<Matcher> {
  switch (matcher.kind) {
    case 'and':
    case 'or':
      yield* matcher.parts;
      for (const index of matcher.parts.keys()) {
        if (matcher.parts.length > 2) yield { ...matcher, parts: matcher.parts.toSpliced(index, 1) };
        for (const part of simpler(matcher.parts[index] as Matcher)) {
          yield { ...matcher, parts: matcher.parts.with(index, part) };
        }
      }
      break;
    case 'not':
      yield matcher.part;
      for (const part of simpler(matcher.part)) yield { kind: 'not', part };
      break;
    case 'in':
      if (matcher.bare !== true)
        yield { kind: 'compare', operator: '==', left: matcher.value, right: matcher.list[0] ?? matcher.value };
      break;
    case 'compare':
    case 'call':
    case 'value':
    case 'eval':
      break;
  }
}
