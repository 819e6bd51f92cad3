// The conditions of a grant or a deny, compiled to closures. Three-valued (Kleene): a condition holds, does not hold, or
// cannot be known. In a grant only what holds opens; in a deny only what surely does not hold spares.
import type { AttributeSource, SliceAttribute, SliceConditions, SliceDenyConditions } from '../bundle/conditions.ts';
import type { SliceDeny, SliceGrant } from '../bundle/slice.ts';
import { attributeTestFault, compileAttributeTest } from './attribute-test.ts';
import {
  attributeNames,
  attributePath,
  builtInAttributes,
  compileReader,
  compileValueFault,
  text,
} from './attributes.ts';
import type { AttributeReader } from './attributes.ts';
import { inDailyWindow, type Calendar } from './calendar.ts';
import { sliceError } from './errors.ts';
import type { AccessRequest, AttributeValue } from './request.ts';
import type { StateRow } from './state-table.ts';

export type Truth = 'holds' | 'fails' | 'unknown';

export interface Condition {
  readonly name: string;
  readonly judge: (request: AccessRequest, row: StateRow) => Truth;
  /** Why it cannot be known, for an explanation; empty when that says nothing more. */
  readonly why?: (request: AccessRequest) => string;
}

/** Schemas of the attributes that the rules of a slice read, by path. */
export type AttributeSchemas = ReadonlyMap<string, SliceAttribute>;

/** A schema changes no built-in attribute's type. */
export function attributeSchemas(attributes: readonly SliceAttribute[], place: string): AttributeSchemas {
  const schemas = new Map<string, SliceAttribute>();
  for (const schema of attributes) {
    const path = attributePath(schema);
    if (schemas.has(path)) throw sliceError(place, `attribute ${path} appears twice`);
    const builtIn = builtInAttributes.find((entry) => attributePath(entry) === path);
    if (builtIn !== undefined && builtIn.type !== schema.type) {
      throw sliceError(place, `attribute ${path} is a ${builtIn.type}, the schema says ${schema.type}`);
    }
    schemas.set(path, schema);
  }
  for (const builtIn of builtInAttributes) {
    const path = attributePath(builtIn);
    if (!schemas.has(path)) schemas.set(path, builtIn);
  }
  return schemas;
}

interface Compiling {
  readonly id: string;
  readonly place: string;
  readonly schemas: AttributeSchemas;
  /** What a deny assumes, by attribute path. */
  readonly assumed: ReadonlyMap<string, AttributeValue>;
}

/** All have to hold. */
export function compileConditions(grant: SliceGrant, schemas: AttributeSchemas): readonly Condition[] {
  const { conditions, notBefore, until, id, place } = grant;
  const { attestationMaxAgeSeconds, maxRisk } = conditions;
  const compiling: Compiling = { id, place, schemas, assumed: new Map() };
  const compiled = [...compileCalendar({ ...conditions, notBefore, until }), ...compileShared(conditions, compiling)];
  if (attestationMaxAgeSeconds !== undefined) {
    const { reader, judge } = attestationAge(compiling, attestationMaxAgeSeconds);
    const name = `attestation at most ${attestationMaxAgeSeconds} s old`;
    compiled.push({ name, judge, why: (request) => reader.fault(request) ?? 'undated' });
  }
  if (maxRisk !== undefined) compiled.push(risk(compiling, `risk at most ${maxRisk}`, (found) => found <= maxRisk));
  return compiled;
}

/**
 * The deny matches unless one surely fails. Nobody is spared for not being attested at all, so class `none`, also that
 * of a state without a good appraisal, is among the classes of every deny that names some.
 */
export function compileDenyConditions(deny: SliceDeny, schemas: AttributeSchemas): readonly Condition[] {
  const { notBefore, until, id, place } = deny;
  const { attestation, ...others } = deny.conditions ?? {};
  const conditions = attestation === undefined ? others : { ...others, attestation: [...attestation, 'none'] };
  const { attestationOlderThanSeconds, minRisk } = conditions;
  const compiling: Compiling = { id, place, schemas, assumed: assumedValues(conditions, deny, schemas) };
  const compiled = [...compileCalendar({ ...conditions, notBefore, until }), ...compileShared(conditions, compiling)];
  if (attestationOlderThanSeconds !== undefined) {
    const { reader, judge } = attestationAge(compiling, attestationOlderThanSeconds);
    const name = `attestation more than ${attestationOlderThanSeconds} s old`;
    compiled.push({
      name,
      judge: (request, row) => not(judge(request, row)),
      why: (request) => reader.fault(request) ?? 'undated',
    });
  }
  if (minRisk !== undefined) compiled.push(risk(compiling, `risk at least ${minRisk}`, (found) => found >= minRisk));
  return compiled;
}

function compileCalendar(calendar: Calendar): Condition[] {
  const { notBefore, until, timeWindow, weekdays } = calendar;
  const conditions: Condition[] = [];
  if (notBefore !== undefined) {
    conditions.push(time('not before', (now) => now >= notBefore, { is: 'holds', from: notBefore }));
  }
  if (until !== undefined) conditions.push(time('until', (now) => now < until, { is: 'fails', from: until }));
  if (timeWindow !== undefined || weekdays !== undefined) {
    const name =
      weekdays === undefined
        ? 'time window'
        : `${weekdays.join(', ')}${timeWindow === undefined ? '' : ' in the time window'}`;
    const daily = { timeWindow, weekdays };
    conditions.push(time(name, (now) => inDailyWindow(daily, now)));
  }
  return conditions;
}

/** What stays true of a date from then on, whatever the time is after it. */
interface Settled {
  readonly is: Truth;
  readonly from: number;
}

/** A clock that nobody vouches for may be wrong both ways: all that is known is what the floor has settled. */
function time(name: string, holds: (now: number) => boolean, settled?: Settled): Condition {
  return {
    name,
    judge: ({ context: { time: now, timeFloor } }) => {
      if (!Number.isFinite(now)) return 'unknown';
      if (timeFloor === undefined) return truth(holds(now));
      return settled !== undefined && timeFloor >= settled.from ? settled.is : 'unknown';
    },
    why: ({ context }) => (context.timeFloor === undefined ? '' : 'the time is not trusted'),
  };
}

function compileShared(
  { attestation, attributes }: SliceConditions | SliceDenyConditions,
  compiling: Compiling,
): Condition[] {
  const conditions: Condition[] = [];
  if (attestation !== undefined) {
    const classes = new Set(attestation);
    const reader = readerOf(compiling, 'subject', attributeNames.attestation);
    conditions.push({
      name: `attestation ${attestation.join(' or ')}`,
      judge: (request, row) => {
        const found = text(reader.read(request));
        return found === undefined ? 'unknown' : truth(classes.has(row.unattested ? 'none' : found));
      },
      why: (request) => reader.fault(request) ?? '',
    });
  }
  for (const test of attributes ?? []) {
    const schema = schemaOf(compiling, test.source, test.name);
    const fault = attributeTestFault(test, schema);
    if (fault !== undefined)
      throw sliceError(compiling.place, `${compiling.id}: ${attributePath(test)}: ${fault.message}`);
    conditions.push(...compileAttributeTest(test, schema, { assumed: compiling.assumed.get(attributePath(test)) }));
  }
  return conditions;
}

/** Holds when an affirming appraisal is at most so old. An assumed class has no age: `none` counts as too old, another as new. */
function attestationAge(
  compiling: Compiling,
  maxAgeSeconds: number,
): { reader: AttributeReader; judge: Condition['judge'] } {
  const reader = readerOf(compiling, 'subject', attributeNames.attestation);
  const assumed = compiling.assumed.get(attributePath({ source: 'subject', name: attributeNames.attestation }));
  const maxAgeMs = maxAgeSeconds * 1_000;
  const judge: Condition['judge'] = (request, row) => {
    const asOf = reader.asOf(request);
    if (asOf !== undefined && text(reader.read(request)) !== undefined) {
      return truth(!row.unattested && request.context.time - asOf <= maxAgeMs);
    }
    return assumed === undefined ? 'unknown' : truth(!row.unattested && assumed !== 'none');
  };
  return { reader, judge };
}

function risk(compiling: Compiling, name: string, holds: (found: number) => boolean): Condition {
  const reader = readerOf(compiling, 'subject', attributeNames.risk);
  return {
    name,
    judge: (request) => {
      const found = reader.read(request);
      return found === undefined ? 'unknown' : truth(holds(found as number));
    },
    why: (request) => reader.fault(request) ?? '',
  };
}

function readerOf(compiling: Compiling, source: AttributeSource, name: string): AttributeReader {
  return compileReader(schemaOf(compiling, source, name), compiling.assumed.get(attributePath({ source, name })));
}

function schemaOf({ schemas, place, id }: Compiling, source: AttributeSource, name: string): SliceAttribute {
  const path = attributePath({ source, name });
  const schema = schemas.get(path);
  if (schema !== undefined) return schema;
  throw sliceError(place, `${id} reads ${path}, which the schema of the bundle does not declare`);
}

function assumedValues(
  { assume = [] }: SliceDenyConditions,
  { id, place }: SliceDeny,
  schemas: AttributeSchemas,
): ReadonlyMap<string, AttributeValue> {
  const assumed = new Map<string, AttributeValue>();
  for (const entry of assume) {
    const schema = schemaOf({ id, place, schemas, assumed }, entry.source, entry.name);
    const fault = compileValueFault(schema)(entry.value);
    if (fault !== undefined)
      throw sliceError(place, `${id} assumes a value of ${attributePath(entry)} that is ${fault}`);
    assumed.set(attributePath(entry), entry.value);
  }
  return assumed;
}

function truth(value: boolean): Truth {
  return value ? 'holds' : 'fails';
}

function not(value: Truth): Truth {
  if (value === 'unknown') return 'unknown';
  return value === 'holds' ? 'fails' : 'holds';
}
