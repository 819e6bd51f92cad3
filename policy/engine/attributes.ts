// Attributes: those that the engine itself reads, by name, and how every one is read as its schema says. Absent, stale,
// dated in the future and of the wrong type are told apart for explanations and are all the same to a decision: unknown.
import type { SliceAttribute } from '../bundle/conditions.ts';
import { MAX_ATTRIBUTE_ITEMS, MAX_ATTRIBUTE_LENGTH, MAX_FUTURE_MS } from './limits.ts';
import type { AccessRequest, Attribute, AttributeValue } from './request.ts';

export const attributeNames = {
  /** Hardware class of the last appraisal: `none`, `software`, `idevid`, `tpm`; dated with that appraisal. */
  attestation: 'attestation',
  /** 0 to 100. */
  risk: 'risk',
  /** True after recovery of the software class: sensitive operations stay closed. */
  reduced: 'reduced',
  /** Of a resource: the device that serves the interface, where several serve one of that name. */
  device: 'device',
} as const;

/** What signed device states say of a subject. Times are milliseconds since the epoch. */
export interface SubjectFacts {
  readonly attestationClass: string;
  /** Time of the last affirming appraisal; 0 for never. */
  readonly attestedAt: number;
  readonly risk: number;
  readonly reduced: boolean;
  /** When the control plane knew risk and `reduced`. */
  readonly asOf: number;
}

export function subjectAttributes(facts: SubjectFacts): AccessRequest['subject']['attributes'] {
  return {
    [attributeNames.attestation]: { value: facts.attestationClass, asOf: facts.attestedAt },
    [attributeNames.risk]: { value: facts.risk, asOf: facts.asOf },
    [attributeNames.reduced]: { value: facts.reduced, asOf: facts.asOf },
  };
}

/** The attribute, or undefined when it is absent or dated in the future. */
export function attribute(
  attributes: Readonly<Record<string, Attribute>>,
  name: string,
  time: number,
): Attribute | undefined {
  const found = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  if (found === undefined) return undefined;
  return isFromFuture(found, time) ? undefined : found;
}

const isFromFuture = ({ asOf }: Attribute, time: number): boolean =>
  asOf !== undefined && !(asOf <= time + MAX_FUTURE_MS);

export function text(value: AttributeValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Why an attribute cannot be used. Nobody said it; it was said without a value; it is too old; or its value is not what
 * the schema says. An empty text or list is a value like any other.
 */
export type AttributeFault =
  | 'missing'
  | 'undefined'
  | 'from the future'
  | 'undated'
  | 'stale'
  | 'mistyped'
  | 'out of range';

/** Reads one attribute of a request as its schema says. */
export interface AttributeReader {
  /** `subject.site`. */
  readonly path: string;
  /** The value, or the assumed one, or undefined when it cannot be known. */
  readonly read: (request: AccessRequest) => AttributeValue | undefined;
  /** When the value was known, milliseconds since the epoch; undefined when it cannot be known. */
  readonly asOf: (request: AccessRequest) => number | undefined;
  /** undefined when `read` gives the value of the request itself. */
  readonly fault: (request: AccessRequest) => AttributeFault | undefined;
}

export function attributePath({ source, name }: Pick<SliceAttribute, 'source' | 'name'>): string {
  return `${source}.${name}`;
}

export function compileReader(schema: SliceAttribute, assumed?: AttributeValue): AttributeReader {
  const { source, name } = schema;
  const valueFault = compileValueFault(schema);
  const maxAgeMs = schema.maxAgeSeconds === undefined ? undefined : schema.maxAgeSeconds * 1_000;
  const found = (request: AccessRequest): Attribute | undefined => {
    const attributes = request[source].attributes;
    return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  };
  const faultOf = (entry: Attribute | undefined, time: number): AttributeFault | undefined => {
    if (entry === undefined) return 'missing';
    const { value, asOf } = entry as { value: unknown; asOf?: number };
    if (value === undefined || value === null) return 'undefined';
    if (isFromFuture(entry, time)) return 'from the future';
    if (maxAgeMs !== undefined) {
      if (asOf === undefined) return 'undated';
      if (!(time - asOf <= maxAgeMs)) return 'stale';
    }
    return valueFault(value);
  };
  return {
    path: attributePath(schema),
    read(request) {
      const entry = found(request);
      return faultOf(entry, request.context.time) === undefined ? entry?.value : assumed;
    },
    asOf(request) {
      const entry = found(request);
      return faultOf(entry, request.context.time) === undefined ? entry?.asOf : undefined;
    },
    fault: (request) => faultOf(found(request), request.context.time),
  };
}

type ValueFault = Extract<AttributeFault, 'mistyped' | 'out of range'>;

/** Why a value is not one of the attribute; also for the values that rules name. */
export function compileValueFault({ type, values, range }: SliceAttribute): (value: unknown) => ValueFault | undefined {
  const known = values === undefined ? undefined : new Set(values);
  const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= MAX_ATTRIBUTE_LENGTH;
  switch (type) {
    case 'string':
      return (value) => {
        if (!isText(value)) return 'mistyped';
        return known === undefined || known.has(value) ? undefined : 'out of range';
      };
    case 'strings':
      return (value) => {
        if (!Array.isArray(value) || value.length > MAX_ATTRIBUTE_ITEMS || !value.every(isText)) return 'mistyped';
        return known === undefined || value.every((item) => known.has(item)) ? undefined : 'out of range';
      };
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? undefined : 'mistyped');
    case 'number':
    case 'integer': {
      const isNumber = type === 'integer' ? Number.isSafeInteger : Number.isFinite;
      const [least, most] = range ?? [-Infinity, Infinity];
      return (value) => {
        if (typeof value !== 'number' || !isNumber(value)) return 'mistyped';
        return least <= value && value <= most ? undefined : 'out of range';
      };
    }
  }
}

/** The attributes that the engine reads by itself; a schema may narrow them, not change their type. */
export const builtInAttributes: readonly SliceAttribute[] = [
  { source: 'subject', name: attributeNames.attestation, type: 'string' },
  { source: 'subject', name: attributeNames.risk, type: 'number' },
  { source: 'subject', name: attributeNames.reduced, type: 'boolean' },
  { source: 'resource', name: attributeNames.device, type: 'string' },
];
