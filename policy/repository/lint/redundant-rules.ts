// Grants and denies that could go without changing a decision: duplicates, rules that others include, grants that denies
// always beat. Subjects and operations are finite, so this is judged pair by pair; a rule is reported when every one of
// its pairs is covered. Of two rules that include each other the later one is reported.
import type { SliceOperation } from '../../bundle/slice.ts';
import { MAX_LINT_COMPARISONS } from '../../limits.ts';
import type { Problems } from '../problems.ts';
import type { Deny, Grant, Interface, Repository } from '../repository.ts';
import { asWritten } from './as-written.ts';
import { canonical, denyIncludes, grantIncludes, isCounted, isUnconditional } from './condition-inclusion.ts';
import { operationContains } from './operation-inclusion.ts';

/** Everybody, or every operation named or not. */
const ALL = '*';

interface Budget {
  left: number;
  cut: number;
}

export function lintRedundantRules(repository: Repository, problems: Problems): void {
  const budget = { left: MAX_LINT_COMPARISONS, cut: 0 };
  const grants = Map.groupBy(asWritten(repository.grants), (grant) => grant.interface);
  const denies = Map.groupBy(asWritten(repository.denies), (deny) => deny.interface);
  for (const entry of repository.interfaces) {
    const wider = widerOperations(entry);
    const [granted, denied] = [grants.get(entry.name) ?? [], denies.get(entry.name) ?? []];
    const beaten = lintBeaten(entry, granted, denied, wider.denies, problems);
    lintGrants(
      entry,
      granted.filter((grant) => !beaten.has(grant)),
      wider.grants,
      budget,
      problems,
    );
    lintDenies(denied, wider.denies, budget, problems);
  }
  if (budget.cut === 0) return;
  const place = repository.grants[0]?.at('id') ?? { file: 'grants' };
  problems.add('POLICY_ANALYSIS_CUT', { file: place.file }, `${budget.cut} rules were not compared with all others`);
}

/** By operation: the operations of the interface that contain it, itself among them. */
type Wider = ReadonlyMap<string, readonly string[]>;

/** What a deny of one reaches includes the other; what a grant of one opens does only where state and class agree too. */
function widerOperations({ operations }: Interface): { denies: Wider; grants: Wider } {
  const sensitive = operations.some((operation) => operation.class === 'sensitive');
  const opensToo = (outer: SliceOperation, inner: SliceOperation): boolean =>
    outer === inner ||
    (outer.class === inner.class &&
      (outer.island || !inner.island) &&
      // A normal operation inside a sensitive one keeps its class only by being narrower.
      (inner.class !== 'normal' || !sensitive));
  // Of operations that contain each other the first counts as the wider one, so that no two cover each other.
  const pairs = operations.map((inner, index) => {
    const outers = operations.filter(
      (outer, other) => operationContains(outer, inner) && (other <= index || !operationContains(inner, outer)),
    );
    return [inner, outers] as const;
  });
  return {
    denies: new Map(pairs.map(([inner, outers]) => [inner.name, outers.map(({ name }) => name)])),
    grants: new Map(
      pairs.map(([inner, outers]) => [
        inner.name,
        outers.filter((outer) => opensToo(outer, inner)).map(({ name }) => name),
      ]),
    ),
  };
}

/** Subjects for whom a grant on the interface means anything: a device needs none to reach itself. */
function effectiveSubjects(subjects: readonly string[], { devices }: Interface): readonly string[] {
  return subjects.filter((subject) => devices.some((device) => device !== subject));
}

/** Grants, or operations of grants, that unconditional denies always beat. Gives the grants reported as a whole. */
function lintBeaten(
  entry: Interface,
  grants: readonly Grant[],
  denies: readonly Deny[],
  wider: Wider,
  problems: Problems,
): ReadonlySet<Grant> {
  const denied = new Map<string, Deny>();
  for (const deny of denies.filter(isUnconditional)) {
    for (const pair of denyPairs(deny)) if (!denied.has(pair)) denied.set(pair, deny);
  }
  const reported = new Set<Grant>();
  if (denied.size === 0) return reported;
  const denyOf = (subject: string, operation: string): Deny | undefined =>
    [ALL, ...(wider.get(operation) ?? [operation])]
      .flatMap((name) => [denied.get(pairKey(ALL, name)), denied.get(pairKey(subject, name))])
      .find((found) => found !== undefined);
  for (const grant of grants) {
    const subjects = effectiveSubjects(grant.subjects, entry);
    const by = grant.operations.map((operation) => subjects.map((subject) => denyOf(subject, operation)));
    if (subjects.length === 0) continue;
    const always = by.map((found) => found.every((deny) => deny !== undefined));
    if (always.every(Boolean)) {
      reported.add(grant);
      const found = new Set(by.flat());
      const [only] = found;
      const opposite = found.size === 1 && only !== undefined && isOpposite(grant, only);
      const message = `${[...found].map((deny) => deny?.id).join(', ')} always beats ${grant.id}`;
      const rule = opposite ? 'POLICY_RULE_CONTRADICTORY' : 'POLICY_GRANT_UNREACHABLE';
      problems.add(rule, grant.at('id'), message, { grant: grant.id });
      continue;
    }
    for (const [index, operation] of grant.operations.entries()) {
      if (always[index] !== true) continue;
      const message = `${by[index]?.[0]?.id} denies ${operation} to every subject of ${grant.id}`;
      problems.add('POLICY_GRANT_PART_DENIED', grant.at('operations', index), message, { grant: grant.id });
    }
  }
  return reported;
}

function isOpposite(grant: Grant, deny: Deny): boolean {
  const { subjects } = deny;
  return (
    subjects !== 'all' &&
    new Set(grant.subjects).symmetricDifference(new Set(subjects)).size === 0 &&
    new Set(grant.operations).symmetricDifference(new Set(deny.operations)).size === 0
  );
}

function lintGrants(
  entry: Interface,
  grants: readonly Grant[],
  wider: Wider,
  budget: Budget,
  problems: Problems,
): void {
  // The first grant that opens says the obligations: where they differ, each of them may be that one.
  const duties = new Set(grants.filter((grant) => !isCounted(grant)).map(({ obligations }) => canonical(obligations)));
  if (duties.size > 1) return;
  // Among all pairs of one subject and operation, grants that say the same of conditions stand once.
  const byPair = new Map<string, Map<string, number>>();
  const signatures = grants.map((grant, index) => (isCounted(grant) ? `${index}` : signatureOf(grant)));
  for (const [index, grant] of grants.entries()) {
    for (const pair of grantPairs(grant, entry)) {
      const same = byPair.get(pair) ?? new Map<string, number>();
      byPair.set(pair, same);
      const signature = signatures[index] ?? '';
      if (!same.has(signature)) same.set(signature, index);
    }
  }
  const includes = remember((outer, inner) => {
    const [wide, narrow] = [grants[outer], grants[inner]];
    if (wide === undefined || narrow === undefined || isCounted(wide) || isCounted(narrow)) return false;
    return grantIncludes(wide, narrow);
  });
  for (const [index, grant] of grants.entries()) {
    const subjects = effectiveSubjects(grant.subjects, entry);
    const covering = coveringRules(
      index,
      subjects.flatMap((subject) =>
        grant.operations.map((operation) => ({
          own: pairKey(subject, operation),
          wider: (wider.get(operation) ?? [operation]).map((name) => pairKey(subject, name)),
        })),
      ),
      (pair) => byPair.get(pair),
      signatures,
      includes,
      budget,
    );
    if (covering !== undefined)
      report(
        grant,
        covering.map((other) => grants[other]),
        problems,
        { grant: grant.id },
      );
  }
}

function signatureOf(rule: Grant | Deny): string {
  const { id: _, at: _at, subjects: _s, operations: _o, ...rest } = rule;
  return canonical(rest);
}

function lintDenies(denies: readonly Deny[], wider: Wider, budget: Budget, problems: Problems): void {
  const byPair = new Map<string, Map<string, number>>();
  const signatures = denies.map(signatureOf);
  for (const [index, deny] of denies.entries()) {
    for (const pair of denyPairs(deny)) {
      const same = byPair.get(pair) ?? new Map<string, number>();
      byPair.set(pair, same);
      const signature = signatures[index] ?? '';
      if (!same.has(signature)) same.set(signature, index);
    }
  }
  const includes = remember((outer, inner) => {
    const [wide, narrow] = [denies[outer], denies[inner]];
    return wide !== undefined && narrow !== undefined && denyIncludes(wide, narrow);
  });
  for (const [index, deny] of denies.entries()) {
    const pairs = subjectsOf(deny).flatMap((subject) =>
      operationsOf(deny).map((operation) => {
        const names = operation === ALL ? [ALL] : [...(wider.get(operation) ?? [operation]), ALL];
        const who = subject === ALL ? [ALL] : [subject, ALL];
        return {
          own: pairKey(subject, operation),
          wider: who.flatMap((one) => names.map((name) => pairKey(one, name))),
        };
      }),
    );
    const covering = coveringRules(index, pairs, (pair) => byPair.get(pair), signatures, includes, budget);
    if (covering !== undefined)
      report(
        deny,
        covering.map((other) => denies[other]),
        problems,
      );
  }
}

interface Pair {
  readonly own: string;
  /** This pair and every pair that includes it. */
  readonly wider: readonly string[];
}

/** The rules that cover all pairs of rule `index` without it; undefined when one pair is not covered. */
function coveringRules(
  index: number,
  pairs: readonly Pair[],
  rulesAt: (pair: string) => ReadonlyMap<string, number> | undefined,
  signatures: readonly string[],
  includes: (outer: number, inner: number) => boolean,
  budget: Budget,
): readonly number[] | undefined {
  const covering = new Set<number>();
  // What covered one pair is asked first about the next, so that a rule is named for many pairs and not many rules.
  for (const pair of pairs) {
    let found: number | undefined;
    for (const candidate of pair.wider) {
      const rules = rulesAt(candidate);
      const same = rules?.get(signatures[index] ?? '');
      if (same !== undefined && same !== index && (candidate !== pair.own || same < index)) {
        found = same;
        break;
      }
      for (const other of rules?.values() ?? []) {
        if (budget.left-- <= 0) {
          budget.cut++;
          return undefined;
        }
        if (other === index || !includes(other, index)) continue;
        // Of two that include each other in the same pair, the earlier one stays.
        if (candidate === pair.own && other > index && includes(index, other)) continue;
        found = other;
        if (covering.has(other)) break;
      }
      if (found !== undefined) break;
    }
    if (found === undefined) return undefined;
    covering.add(found);
  }
  return pairs.length === 0 ? undefined : [...covering];
}

function report(
  rule: Grant | Deny,
  covering: readonly (Grant | Deny | undefined)[],
  problems: Problems,
  about?: { grant: string },
): void {
  const [first] = covering;
  const names = covering.slice(0, 3).map((other) => other?.id);
  const more = covering.length > 3 ? ` and ${covering.length - 3} more` : '';
  const identical =
    covering.length === 1 && first !== undefined && canonical(setsOf(first)) === canonical(setsOf(rule));
  const message = identical
    ? `${rule.id} is ${first?.id} again`
    : `${names.join(', ')}${more} already ${covering.length === 1 ? 'does' : 'do'} all that ${rule.id} does`;
  problems.add(identical ? 'POLICY_RULE_DUPLICATE' : 'POLICY_RULE_SHADOWED', rule.at('id'), message, about);
}

function setsOf(rule: Grant | Deny): object {
  const { id: _, at: _at, ...rest } = rule;
  const subjects = rest.subjects === 'all' ? ALL : [...new Set(rest.subjects)].sort();
  return { ...rest, subjects, operations: [...new Set(rest.operations)].sort() };
}

/** Names hold no line feed. */
function pairKey(subject: string, operation: string): string {
  return `${subject}\n${operation}`;
}

function grantPairs(grant: Grant, entry: Interface): string[] {
  return effectiveSubjects(grant.subjects, entry).flatMap((subject) =>
    grant.operations.map((operation) => pairKey(subject, operation)),
  );
}

function subjectsOf({ subjects }: Deny): readonly string[] {
  return subjects === 'all' ? [ALL] : subjects;
}

function operationsOf({ operations }: Deny): readonly string[] {
  return operations.length === 0 ? [ALL] : operations;
}

function denyPairs(deny: Deny): string[] {
  return subjectsOf(deny).flatMap((subject) => operationsOf(deny).map((operation) => pairKey(subject, operation)));
}

function remember(judge: (outer: number, inner: number) => boolean): (outer: number, inner: number) => boolean {
  const known = new Map<string, boolean>();
  return (outer, inner) => {
    const key = `${outer} ${inner}`;
    let answer = known.get(key);
    if (answer === undefined) known.set(key, (answer = judge(outer, inner)));
    return answer;
  };
}
