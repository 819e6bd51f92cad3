// Conditions of grants and denies held against the schema: an attribute that nobody declared, an operator its type does
// not have, a value it never takes, are reported at the word that is wrong.
import type { AttributeTest, SliceConditions, SliceDenyConditions } from '../bundle/conditions.ts';
import { attributeTestFault, expectedOf } from '../engine/attribute-test.ts';
import { attributeNames, attributePath, compileValueFault } from '../engine/attributes.ts';
import type { AssumeEntry, DenyConditionsEntry, GrantConditionsEntry } from './format/conditions.ts';
import type { At, Attributes } from './repository.ts';
import { findAttribute } from './resolve-attributes.ts';
import type { Resolver } from './resolve.ts';

interface Resolving {
  readonly resolver: Resolver;
  readonly attributes: Attributes;
  readonly at: At;
}

export function grantConditions(entry: GrantConditionsEntry, resolving: Resolving): SliceConditions {
  const { attestationMaxAge, maxRisk } = entry;
  return {
    ...sharedConditions(entry, resolving),
    ...(attestationMaxAge === undefined ? {} : { attestationMaxAgeSeconds: attestationMaxAge / 1_000 }),
    ...(maxRisk === undefined ? {} : { maxRisk }),
  };
}

export function denyConditions(
  entry: DenyConditionsEntry,
  assume: AssumeEntry | undefined,
  resolving: Resolving,
): SliceDenyConditions {
  const { attestationOlderThan, minRisk } = entry;
  for (const [path, test] of Object.entries(entry.attributes ?? {})) {
    if (test.present === undefined) continue;
    const message = 'a deny that asks for presence always matches, because a missing attribute counts as a match';
    resolving.resolver.problems.add(
      'POLICY_FORMAT',
      resolving.at('conditions', 'attributes', path, 'present'),
      message,
    );
  }
  const conditions: SliceDenyConditions = {
    ...sharedConditions(entry, resolving),
    ...(attestationOlderThan === undefined ? {} : { attestationOlderThanSeconds: attestationOlderThan / 1_000 }),
    ...(minRisk === undefined ? {} : { minRisk }),
  };
  if (assume === undefined) return conditions;
  // What was refused above is not blamed a second time.
  const read = new Set([...attributesRead(conditions), ...Object.keys(entry.attributes ?? {})]);
  return { ...conditions, assume: assumptions(assume, read, resolving) };
}

function sharedConditions(
  { attestation, timeWindow, weekdays, attributes }: GrantConditionsEntry | DenyConditionsEntry,
  resolving: Resolving,
): RuleConditions {
  const tests = attributes === undefined ? [] : attributeTests(attributes, resolving);
  return {
    ...(attestation === undefined ? {} : { attestation }),
    ...(timeWindow === undefined ? {} : { timeWindow }),
    ...(weekdays === undefined ? {} : { weekdays }),
    ...(tests.length === 0 ? {} : { attributes: tests }),
  };
}

/** Words of their own, because the state of a device counts there too. */
const ownCondition: Readonly<Record<string, string>> = {
  [`subject.${attributeNames.attestation}`]: 'attestation, attestationMaxAge or attestationOlderThan',
  [`subject.${attributeNames.risk}`]: 'maxRisk or minRisk',
  [`subject.${attributeNames.reduced}`]: 'class: sensitive on the operation, which a reduced device never reaches',
  [`resource.${attributeNames.device}`]: 'the devices of the interface',
};

function attributeTests(
  entries: NonNullable<GrantConditionsEntry['attributes']>,
  { resolver, attributes, at }: Resolving,
): AttributeTest[] {
  return Object.entries(entries).flatMap(([path, written]) => {
    const place = at('conditions', 'attributes', path);
    const instead = ownCondition[path];
    if (instead !== undefined) {
      resolver.problems.add('POLICY_FORMAT', place, `${path} has a condition of its own; expected ${instead}`);
      return [];
    }
    const schema = findAttribute(path, attributes, resolver, place);
    if (schema === undefined) return [];
    const test = { source: schema.source, name: schema.name, ...definedOnly(written) } as AttributeTest;
    const fault = attributeTestFault(test, schema);
    if (fault === undefined) return [test];
    const wrong = fault.operator === undefined ? place : at('conditions', 'attributes', path, fault.operator);
    resolver.problems.add('POLICY_FORMAT', wrong, `${path}: ${fault.message}`);
    return [];
  });
}

function definedOnly(entry: object): object {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined));
}

/** Of a grant or a deny. */
export type RuleConditions = SliceConditions & SliceDenyConditions;

/** Paths of the attributes that conditions read. */
export function attributesRead(conditions: RuleConditions): string[] {
  const { attestation, attestationOlderThanSeconds, attestationMaxAgeSeconds, minRisk, maxRisk } = conditions;
  const attested = attestation ?? attestationOlderThanSeconds ?? attestationMaxAgeSeconds;
  return [
    ...(attested === undefined ? [] : [`subject.${attributeNames.attestation}`]),
    ...((minRisk ?? maxRisk) === undefined ? [] : [`subject.${attributeNames.risk}`]),
    ...(conditions.attributes ?? []).map(attributePath),
  ];
}

function assumptions(
  assume: AssumeEntry,
  read: ReadonlySet<string>,
  { resolver, attributes, at }: Resolving,
): NonNullable<SliceDenyConditions['assume']> {
  return Object.entries(assume).flatMap(([path, value]) => {
    const place = at('assume', path);
    if (!read.has(path)) {
      const message = `no condition of this deny reads ${path}; expected ${[...read].join(', ') || 'no assumption'}`;
      resolver.problems.add('POLICY_REFERENCE_UNKNOWN', place, message);
      return [];
    }
    const schema = findAttribute(path, attributes, resolver, place);
    if (schema === undefined) return [];
    if (compileValueFault(schema)(value) !== undefined) {
      const message = `${path} is never ${JSON.stringify(value)}; expected ${expectedOf(schema)}`;
      resolver.problems.add('POLICY_FORMAT', place, message);
      return [];
    }
    return [{ source: schema.source, name: schema.name, value }];
  });
}
