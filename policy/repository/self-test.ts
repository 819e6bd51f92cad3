// Self-test vectors of a slice: requests with known answers that the edge's engine has to give before it activates the
// bundle. Derived from the grants and their conditions; what depends on a date, a Casbin model or a Rego
// package is left to the tests.
import type { SelfTestVector, Slice, SliceDeny, SliceGrant, SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { MAX_SELF_TEST_VECTORS } from '../limits.ts';
import { memberSet } from './catalogue.ts';
import { topicOf } from './mqtt-match.ts';
import { isOfSameKind, matches, modbusSample, sampleOf } from './operation-match.ts';
import type { SampleRequest } from './operation-match.ts';
import { fulfilling, type Given, holdsWithNothing, nothing, ordinary } from './self-test-conditions.ts';

type Unfinished = Omit<Slice, 'selfTest'>;

/** `stranger`: an id that the inventory does not hold, for vectors that are denied. */
export function selfTestVectors(slice: Unfinished, stranger: string): SelfTestVector[] {
  const vectors = slice.interfaces
    // Only the serving device decides.
    .filter((entry) => entry.device === slice.device)
    .flatMap((entry) => [
      ...allowVectors(slice, entry),
      ...unknownVectors(slice, entry),
      ...strangerVectors(entry, stranger),
      ...ungrantedVectors(slice, entry),
    ]);
  return distinct(vectors).slice(0, MAX_SELF_TEST_VECTORS);
}

function distinct(vectors: readonly SelfTestVector[]): SelfTestVector[] {
  return [...new Map(vectors.map((entry) => [JSON.stringify(entry), entry])).values()];
}

export function strangerTo(known: ReadonlySet<string>): string {
  let name = 'self-test-stranger';
  while (known.has(name)) name = `${name}-x`;
  return name;
}

/** Model and package see more of a request than its grant; what they answer is for the tests to say. */
function isNarrowed({ casbin, rego }: SliceInterface): boolean {
  return casbin !== undefined || rego !== undefined;
}

/** One for each grant and operation, with its first subject and what its conditions ask for; and one with nothing of it. */
function allowVectors(slice: Unfinished, entry: SliceInterface): SelfTestVector[] {
  return grantsOf(slice, entry).flatMap((grant) => {
    const [subject] = grant.subjects;
    const given = fulfilling(grant, slice.attributes ?? []);
    if (subject === undefined || given === undefined || isNarrowed(entry)) return [];
    return grant.operations.flatMap((name) => {
      const operation = entry.operations.find((candidate) => candidate.name === name);
      const request = operation === undefined ? undefined : sampleOf(operation, subject);
      const expect = request === undefined ? undefined : expectation(slice, entry, subject, request);
      return request === undefined || expect === undefined
        ? []
        : [vector(entry, subject, grant.binding, request, expect, given)];
    });
  });
}

/** A subject of whom nothing is known gets nothing that a condition guards. */
function unknownVectors(slice: Unfinished, entry: SliceInterface): SelfTestVector[] {
  const grants = grantsOf(slice, entry);
  return grants.flatMap((grant) => {
    const [subject] = grant.subjects;
    if (subject === undefined || holdsWithNothing(grant.conditions)) return [];
    const open = grants
      .filter((other) => memberSet(other.subjects).has(subject) && holdsWithNothing(other.conditions))
      .flatMap((other) => entry.operations.filter(({ name }) => other.operations.includes(name)));
    return entry.operations
      .filter(({ name }) => grant.operations.includes(name))
      .flatMap((operation) => sampleOf(operation, subject) ?? [])
      .filter((request) => !open.some((operation) => matches(operation, request, subject)))
      .map((request) => vector(entry, subject, grant.binding, request, 'deny', nothing));
  });
}

function strangerVectors(entry: SliceInterface, stranger: string): SelfTestVector[] {
  return requestsOf(entry, stranger).map((request) => vector(entry, stranger, 'svid', request, 'deny'));
}

/** What a subject with some grant must still not do: the operations it was not given, and writing where it only reads. */
function ungrantedVectors(slice: Unfinished, entry: SliceInterface): SelfTestVector[] {
  const grants = grantsOf(slice, entry);
  const subjects = [...new Set(grants.flatMap((grant) => grant.subjects.slice(0, 1)))];
  return subjects.flatMap((subject) => {
    const own = grants.filter((grant) => memberSet(grant.subjects).has(subject));
    const given = new Set(own.flatMap((grant) => grant.operations));
    const open = entry.operations.filter((operation) => given.has(operation.name));
    const binding = own[0]?.binding ?? 'svid';
    return [...requestsOf(entry, subject), ...writesOf(entry, subject)]
      .filter((request) => !open.some((operation) => matches(operation, request, subject)))
      .map((request) => vector(entry, subject, binding, request, 'deny'));
  });
}

function requestsOf(entry: SliceInterface, subject: string): SampleRequest[] {
  return entry.operations.flatMap((operation) => sampleOf(operation, subject) ?? []);
}

/** Writes to the first address of every Modbus operation, deletes of every HTTP path, retained messages of MQTT. */
function writesOf(entry: SliceInterface, subject: string): SampleRequest[] {
  return entry.operations.flatMap((operation) => writeOf(operation, subject));
}

function writeOf(operation: SliceOperation, subject: string): SampleRequest[] {
  const sample = sampleOf(operation, subject);
  if (sample?.protocol === 'mqtt' && sample.action !== 'connect')
    return [false, true].map((retain) => ({ ...sample, action: 'publish', topic: topicOf(sample.topic), retain }));
  if (sample?.protocol === 'http') return [{ ...sample, method: 'DELETE' }];
  if (sample?.protocol === 'modbus') return [6, 16].map((code) => modbusSample(code, sample.unit, sample.address, 1));
  return [];
}

function grantsOf(slice: Unfinished, entry: SliceInterface): SliceGrant[] {
  return slice.grants.filter((grant) => grant.device === entry.device && grant.interface === entry.name);
}

/** Undefined where a deny is near: in a deny doubt counts as a match, and how far that goes is the engine's matter. */
function expectation(
  slice: Unfinished,
  entry: SliceInterface,
  subject: string,
  request: SampleRequest,
): SelfTestVector['expect'] | undefined {
  const denies = slice.denies.filter(
    (deny) =>
      deny.device === entry.device &&
      deny.interface === entry.name &&
      (deny.subjects.length === 0 || deny.subjects.includes(subject)),
  );
  // A condition may spare the request, or not: the tests of the repository say.
  if (denies.some((deny) => !isUnconditional(deny))) return undefined;
  const denied = entry.operations.filter((operation) =>
    denies.some((deny) => deny.operations.includes(operation.name)),
  );
  if (denies.some((deny) => deny.operations.length === 0)) return 'deny';
  if (denied.some((operation) => matches(operation, request, subject))) return 'deny';
  return denied.some((operation) => isOfSameKind(operation, request)) ? undefined : 'allow';
}

function isUnconditional({ conditions, notBefore, until }: SliceDeny): boolean {
  return conditions === undefined && notBefore === undefined && until === undefined;
}

function vector(
  entry: SliceInterface,
  subject: string,
  binding: SelfTestVector['binding'],
  operation: SampleRequest,
  expect: SelfTestVector['expect'],
  given: Given = ordinary,
): SelfTestVector {
  return {
    subject,
    binding,
    state: 'trusted',
    ...given,
    interface: entry.name,
    device: entry.device,
    operation,
    expect,
  };
}
