// Values of attributes that stand for all of them: what rules name, what lies between and beside it, and nothing at
// all. A value that is stale, of another type or out of range is judged as a missing one is.
import type { AttributeTest, SliceAttribute } from '../../bundle/conditions.ts';
import { attributePath, builtInAttributes, compileValueFault } from '../../engine/attributes.ts';
import type { AttributeValue } from '../../engine/index.ts';
import type { SliceDeny, SliceGrant } from '../../bundle/slice.ts';
import { MAX_LIST_ITEMS_ASKED } from '../../limits.ts';
import type { GivenAttributes } from '../format/given-attributes.ts';
import { product } from './product.ts';

interface Named extends Pick<AttributeTest, 'source' | 'name'> {
  /** Numbers at which an answer may change. */
  readonly points: readonly number[];
  readonly texts: readonly string[];
  /** Texts that a list is asked for. */
  readonly items: readonly string[];
}

export function testsOf(rules: readonly (SliceGrant | SliceDeny)[]): Named[] {
  return rules.flatMap(({ conditions }) =>
    (conditions?.attributes ?? []).map(({ source, name, equals, in: among = [], min, max, contains = [] }) => {
      const named = [equals, ...among, min, max];
      return {
        source,
        name,
        points: named.filter((value) => typeof value === 'number'),
        texts: named.filter((value) => typeof value === 'string'),
        items: contains,
      };
    }),
  );
}

/** Attributes that every request carries by its own keys (state, attestation, risk, device). */
export function isBuiltIn(test: Pick<AttributeTest, 'source' | 'name'>): boolean {
  return builtInAttributes.some((entry) => attributePath(entry) === attributePath(test));
}

/** Combinations of values of the attributes that the rules read, as a test gives them. */
export function attributeSets(
  rules: readonly (SliceGrant | SliceDeny)[],
  schemas: readonly SliceAttribute[],
): GivenAttributes[] {
  const read = Map.groupBy(
    testsOf(rules).filter((test) => !isBuiltIn(test)),
    attributePath,
  );
  const values: Record<string, readonly (AttributeValue | undefined)[]> = {};
  for (const [path, tests] of [...read].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const schema = schemas.find((entry) => attributePath(entry) === path);
    if (schema !== undefined) values[path] = [...valuesOf(schema, tests), undefined];
  }
  return product<Record<string, AttributeValue | undefined>>(values).map(
    (set) => Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined)) as GivenAttributes,
  );
}

/** Attributes whose lists have more combinations than are asked, by path. */
export function notAllLists(rules: readonly (SliceGrant | SliceDeny)[]): string[] {
  const read = Map.groupBy(testsOf(rules), attributePath);
  return [...read].filter(([, tests]) => itemsOf(tests).length > MAX_LIST_ITEMS_ASKED).map(([path]) => path);
}

function valuesOf(schema: SliceAttribute, tests: readonly Named[]): AttributeValue[] {
  const fault = compileValueFault(schema);
  return candidates(schema, tests).filter((value) => fault(value) === undefined);
}

function candidates(schema: SliceAttribute, tests: readonly Named[]): AttributeValue[] {
  switch (schema.type) {
    case 'boolean':
      return [true, false];
    case 'string': {
      const named = [...new Set(tests.flatMap(({ texts }) => texts))];
      return [...named, ...(schema.values ?? ['', 'another']).filter((text) => !named.includes(text)).slice(0, 1)];
    }
    case 'strings': {
      const items = itemsOf(tests).slice(0, MAX_LIST_ITEMS_ASKED);
      return Array.from({ length: 2 ** items.length }, (_, set) => items.filter((__, index) => (set >> index) & 1));
    }
    case 'integer':
    case 'number': {
      const points = numbersAround(
        tests.flatMap((test) => test.points),
        schema.type === 'integer',
      );
      return points.length > 0 ? points : [(schema.range ?? [0])[0]];
    }
  }
}

function itemsOf(tests: readonly Named[]): string[] {
  return [...new Set(tests.flatMap(({ items }) => items))];
}

/** The points themselves, one number between each two and one beyond each end. */
export function numbersAround(points: readonly number[], integer: boolean): number[] {
  const sorted = [...new Set(points)].sort((a, b) => a - b);
  const [first] = sorted;
  const [last] = sorted.slice(-1);
  if (first === undefined || last === undefined) return [];
  const between = sorted.slice(1).map((point, index) => ((sorted[index] ?? point) + point) / 2);
  const others = integer ? between.map((middle) => Math.floor(middle)) : between;
  return [...new Set([...sorted, first - 1, last + 1, ...others])];
}
