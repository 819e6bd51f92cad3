// One condition on one attribute, compiled to a closure for each operator. What the schema makes impossible or
// meaningless is refused here, for the repository (with its column) and for a bundle alike.
import type { AttributeTest, AttributeType, SliceAttribute } from '../bundle/conditions.ts';
import { compileReader, compileValueFault, type AttributeReader } from './attributes.ts';
import type { Condition, Truth } from './conditions.ts';
import type { AttributeValue } from './request.ts';

export const attributeOperators = ['equals', 'in', 'min', 'max', 'contains', 'present'] as const;
export type AttributeOperator = (typeof attributeOperators)[number];

const operatorsOf: Readonly<Record<AttributeType, readonly AttributeOperator[]>> = {
  string: ['equals', 'in', 'present'],
  number: ['equals', 'in', 'min', 'max', 'present'],
  integer: ['equals', 'in', 'min', 'max', 'present'],
  boolean: ['equals', 'present'],
  strings: ['contains', 'present'],
};

export interface TestFault {
  /** Operator at fault; absent when the test has none. */
  readonly operator?: AttributeOperator;
  /** What was found and what was expected. */
  readonly message: string;
}

/** Why a test cannot be asked of an attribute with this schema; undefined when it can. */
export function attributeTestFault(test: AttributeTest, schema: SliceAttribute): TestFault | undefined {
  const used = attributeOperators.filter((operator) => test[operator] !== undefined);
  if (used.length === 0) return { message: `expected one of ${operatorsOf[schema.type].join(', ')}` };
  for (const operator of used) {
    const known = operatorsOf[schema.type];
    if (!known.includes(operator)) {
      return {
        operator,
        message: `${operator} cannot be asked of ${typeWords[schema.type]}; expected ${known.join(', ')}`,
      };
    }
    const message = namedValuesFault(operator, test, schema);
    if (message !== undefined) return { operator, message };
  }
  if (test.min !== undefined && test.max !== undefined && test.min > test.max) {
    return { operator: 'min', message: `expected min at most max, found ${test.min} and ${test.max}` };
  }
  return undefined;
}

function namedValuesFault(
  operator: AttributeOperator,
  test: AttributeTest,
  schema: SliceAttribute,
): string | undefined {
  const element: SliceAttribute = schema.type === 'strings' ? { ...schema, type: 'string' } : schema;
  const fault = compileValueFault(element);
  for (const value of namedValues(operator, test)) {
    const found = fault(value);
    if (found === undefined) continue;
    return `${JSON.stringify(value)} is never a value of this attribute; expected ${expectedOf(element)}`;
  }
  return undefined;
}

function namedValues(operator: AttributeOperator, test: AttributeTest): readonly unknown[] {
  const value = operator === 'present' ? undefined : test[operator];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

const typeWords: Readonly<Record<AttributeType, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'an integer',
  boolean: 'a boolean',
  strings: 'a list of strings',
};

/** What the schema says of a value, in words. */
export function expectedOf({ type, values, range }: SliceAttribute): string {
  if (values !== undefined)
    return type === 'strings' ? `a list of ${values.join(', ')}` : `one of ${values.join(', ')}`;
  return range === undefined ? typeWords[type] : `${typeWords[type]} from ${range[0]} to ${range[1]}`;
}

export interface TestOptions {
  /** What to take for a value that cannot be known; only in denies. */
  readonly assumed?: AttributeValue | undefined;
}

/** The test has no fault. */
export function compileAttributeTest(
  test: AttributeTest,
  schema: SliceAttribute,
  { assumed }: TestOptions = {},
): Condition[] {
  const reader = compileReader(schema, assumed);
  const { equals, in: among, min, max, contains, present } = test;
  const conditions: Condition[] = [];
  const add = (words: string, holds: (value: AttributeValue) => boolean): void => {
    conditions.push(condition(`${reader.path} ${words}`, reader, holds));
  };
  if (present !== undefined) add('present', () => true);
  if (equals !== undefined) add(`equals ${JSON.stringify(equals)}`, (value) => value === equals);
  if (among !== undefined) {
    const set = new Set<unknown>(among);
    add(`in ${JSON.stringify(among)}`, (value) => set.has(value));
  }
  // The schema has made sure that it is a number.
  if (min !== undefined) add(`at least ${min}`, (value) => (value as number) >= min);
  if (max !== undefined) add(`at most ${max}`, (value) => (value as number) <= max);
  if (contains !== undefined) {
    add(`contains ${JSON.stringify(contains)}`, (value) =>
      contains.every((wanted) => (value as readonly string[]).includes(wanted)),
    );
  }
  return conditions;
}

function condition(name: string, reader: AttributeReader, holds: (value: AttributeValue) => boolean): Condition {
  return {
    name,
    judge: (request): Truth => {
      const value = reader.read(request);
      if (value === undefined) return 'unknown';
      return holds(value) ? 'holds' : 'fails';
    },
    why: (request) => reader.fault(request) ?? '',
  };
}
