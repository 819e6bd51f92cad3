// What a self-test vector gives so that the conditions of a grant hold, and whether they could hold with nothing given.
// Written independently of the engine, so that the vectors check the engine and not themselves.
import type { AttributeTest, NamedValue, SliceAttribute, SliceConditions } from '../bundle/conditions.ts';
import type { SelfTestVector, SliceGrant } from '../bundle/slice.ts';

export type Given = Pick<SelfTestVector, 'attestation' | 'attributes'>;

export const ordinary: Given = { attestation: 'software' };
/** Neither appraised nor described. */
export const nothing: Given = { attestation: 'none' };

/** undefined where the answer depends on a date, or no value can be found that fits. */
export function fulfilling(grant: SliceGrant, schemas: readonly SliceAttribute[]): Given | undefined {
  if (grant.until !== undefined || grant.notBefore !== undefined) return undefined;
  const { attestation, attributes = [] } = grant.conditions;
  const proven = attestation?.find((name) => name !== 'none') ?? attestation?.[0] ?? ordinary.attestation;
  const values = new Map<string, NamedValue>();
  for (const { source, name } of attributes) {
    const of = (entry: { readonly source: string; readonly name: string }): boolean =>
      entry.source === source && entry.name === name;
    const schema = schemas.find(of);
    const value = schema === undefined ? undefined : fittingValue(attributes.filter(of), schema);
    if (value === undefined) return undefined;
    values.set(`${source}.${name}`, { source, name, value });
  }
  return { attestation: proven, ...(values.size === 0 ? {} : { attributes: [...values.values()] }) };
}

/** Whether the conditions could hold for a subject of whom nothing is known. To a vector every appraisal is fresh. */
export function holdsWithNothing({ attestation, attributes }: SliceConditions): boolean {
  return attributes === undefined && (attestation?.includes('none') ?? true);
}

function fittingValue(tests: readonly AttributeTest[], schema: SliceAttribute): NamedValue['value'] | undefined {
  return candidates(tests, schema).find((value) => tests.every((entry) => fits(entry, value)));
}

function candidates(tests: readonly AttributeTest[], { type, values, range }: SliceAttribute): NamedValue['value'][] {
  const named = tests.flatMap(({ equals, in: among = [], min, max }) =>
    [equals, ...among, min, max].filter((value) => value !== undefined),
  );
  switch (type) {
    case 'string':
      return [...named, ...(values ?? ['self-test'])];
    case 'boolean':
      return [...named, true];
    case 'strings':
      return [[...new Set(tests.flatMap(({ contains }) => contains ?? []))]];
    case 'number':
    case 'integer':
      return [...named, ...(range ?? [0])].filter((value) => type === 'number' || Number.isInteger(value));
  }
}

function fits({ equals, in: among, min, max, contains }: AttributeTest, value: NamedValue['value']): boolean {
  if (equals !== undefined && value !== equals) return false;
  if (among !== undefined && !among.some((entry) => entry === value)) return false;
  if (typeof value === 'number' && (value < (min ?? value) || value > (max ?? value))) return false;
  return contains === undefined || (Array.isArray(value) && contains.every((entry) => value.includes(entry)));
}
