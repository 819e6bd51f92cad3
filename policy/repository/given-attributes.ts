// The attributes of a test: whose they are, and as the request carries them.
import { attributeSources, type AttributeSource } from '../bundle/conditions.ts';
import { compileValueFault } from '../engine/attributes.ts';
import { expectedOf } from '../engine/attribute-test.ts';
import type { Attribute } from '../engine/request.ts';
import type { GivenAttributes } from './format/given-attributes.ts';
import type { Files } from './read-files.ts';
import type { At, Attributes } from './repository.ts';
import { findAttribute } from './resolve-attributes.ts';
import type { Resolver } from './resolve.ts';

/** `subject.site` of `site` or `subject.site`. */
export function givenPath(written: string): string {
  return attributeSources.some((source) => written.startsWith(`${source}.`)) ? written : `subject.${written}`;
}

/** By source and name. `time` in milliseconds since the epoch: a value without `ago` is known since then. */
export function requestAttributes(
  given: GivenAttributes,
  time: number,
): Readonly<Record<AttributeSource, Record<string, Attribute>>> {
  const attributes = { subject: {}, resource: {}, context: {} } as Record<AttributeSource, Record<string, Attribute>>;
  for (const [written, entry] of Object.entries(given)) {
    const path = givenPath(written);
    const dot = path.indexOf('.');
    const known = typeof entry === 'object' && 'value' in entry ? entry : { value: entry, ago: 0 };
    attributes[path.slice(0, dot) as AttributeSource][path.slice(dot + 1)] = {
      value: known.value,
      asOf: time - known.ago,
    };
  }
  return attributes;
}

/** Reports attributes that no schema declares, and values that the schema says never occur. */
export function checkGivenAttributes(
  given: GivenAttributes,
  at: At,
  files: Files,
  attributes: Attributes,
  resolver: Resolver,
): void {
  if (files.broken.has('attributes')) return;
  for (const [written, entry] of Object.entries(given)) {
    const place = at('given', 'attributes', written);
    const schema = findAttribute(givenPath(written), attributes, resolver, place);
    if (schema === undefined) continue;
    const value = typeof entry === 'object' && 'value' in entry ? entry.value : entry;
    if (compileValueFault(schema)(value) === undefined) continue;
    const message = `${written} is ${JSON.stringify(value)}; expected ${expectedOf(schema)}, as schema/ says`;
    resolver.problems.add('POLICY_FORMAT', place, message);
  }
}
