// YAML 1.2 files written by people: parsed strictly, checked by a schema, and every fault answered with
// file:line:column, what was found and what was expected.
import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  Document as YamlDocument,
  LineCounter,
  parse,
  parseDocument,
  visit,
} from 'yaml';
import type { Document, Pair, YAMLMap } from 'yaml';
import { z } from 'zod';
import type { CodedError, Place } from './errors.ts';
import { runtimeErrors } from './error-codes.ts';
import { maxYamlBytes, maxYamlDepth } from './limits.ts';
import { explainIssue, type Explained, type IssuePath } from './yaml-issues.ts';

export interface ParsedYaml<T> {
  readonly value: T;
  /** Where the value at `path` (or its nearest written parent) stands in the file. */
  readonly placeOf: (path: IssuePath) => Place;
}

/** The value of `text`, or CONFIG_INVALID for the first fault; all faults are in `yamlFaults(error)`. */
export function parseYaml<S extends z.ZodType>(text: string, file: string, schema: S): z.infer<S> {
  return parseYamlWithPlaces(text, file, schema).value;
}

export function parseYamlWithPlaces<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
): ParsedYaml<z.infer<S>> {
  const source = readYaml(text, file);
  return { value: checkYaml(source, source.plain, schema), placeOf: source.placeOf };
}

export interface YamlSource {
  readonly plain: unknown;
  readonly file: string;
  readonly placeOf: (path: IssuePath) => Place;
  readonly placeOfKey: (path: IssuePath) => Place;
}

/** Syntax only. Aliases, tags, duplicate and non-text keys are refused: they hide what a file says. */
export function readYaml(text: string, file: string): YamlSource {
  if (Buffer.byteLength(text) > maxYamlBytes) {
    throw runtimeErrors.error('CONFIG_TOO_LARGE', `expected at most ${maxYamlBytes} bytes, found more`, {
      place: { file },
    });
  }
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  // The library's own check of duplicate keys takes quadratic time; ours is in refuseHidden.
  const options = { version: '1.2', schema: 'core', uniqueKeys: false, prettyErrors: false } as const;
  const document = parseDocument(text, { ...options, lineCounter: lines });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    throw runtimeErrors.error('CONFIG_INVALID', syntaxMessage(fault.code, fault.message), { place: at(fault.pos[0]) });
  }
  refuseHidden(document, (offset, message) => runtimeErrors.error('CONFIG_INVALID', message, { place: at(offset) }));
  return {
    plain: document.toJS({ maxAliasCount: 0 }) as unknown,
    file,
    placeOf: (path) => at(locate(document, path, 'value')),
    placeOfKey: (path) => at(locate(document, path, 'key')),
  };
}

function refuseHidden(document: Document.Parsed, refusal: (offset: number, message: string) => CodedError): void {
  visit(document, {
    Alias: (_, alias) => {
      throw refusal(alias.range?.[0] ?? 0, `expected the value itself, found the alias *${alias.source}`);
    },
    Node: (_, node, path) => {
      const offset = offsetOf(node) ?? 0;
      if (path.length > maxYamlDepth) throw refusal(offset, tooDeep);
      if (!isAlias(node) && node.tag !== undefined) throw refusal(offset, `expected no tag, found ${node.tag}`);
      if (isMap(node)) refuseKeys(node, refusal);
    },
  });
}

function refuseKeys(map: YAMLMap, refusal: (offset: number, message: string) => CodedError): void {
  const seen = new Set<string>();
  for (const { key } of map.items) {
    const offset = offsetOf(key) ?? offsetOf(map) ?? 0;
    const name = keyName(key);
    if (name === undefined) throw refusal(offset, 'expected a text as key');
    if (name === '__proto__') throw refusal(offset, 'expected another key, found __proto__');
    if (seen.has(name)) throw refusal(offset, `expected each key once, found ${JSON.stringify(name)} again`);
    seen.add(name);
  }
}

function checkYaml<S extends z.ZodType>(source: YamlSource, plain: unknown, schema: S): z.infer<S> {
  const result = schema.safeParse(plain, { reportInput: true });
  if (result.success) return result.data;
  throw faultsToError(faultsOf(source, plain, result.error.issues, schema));
}

export interface YamlFault {
  readonly place: Place;
  readonly message: string;
}

export function faultsOf(
  source: YamlSource,
  plain: unknown,
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
): YamlFault[] {
  const faults = issues
    .flatMap((issue) => explainIssue(issue, { plain, schema }))
    .map((found: Explained) => ({
      place: found.atKey ? source.placeOfKey(found.path) : source.placeOf(found.path),
      message: found.message,
    }));
  return faults.sort(
    (a, b) => (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0),
  );
}

function faultsToError(faults: readonly YamlFault[]): CodedError {
  const errors = faults.map(({ place, message }) => runtimeErrors.error('CONFIG_INVALID', message, { place }));
  const [first, ...others] = faults;
  if (first === undefined) throw new Error('a schema refused without saying why');
  if (others.length === 0) return errors[0] as CodedError;
  return runtimeErrors.error('CONFIG_INVALID', `${first.message} (and ${others.length} more)`, {
    place: first.place,
    cause: new AggregateError(errors),
  });
}

/** Every fault of a file as an error with its own place. */
export function yamlFaults(error: CodedError): readonly CodedError[] {
  return error.cause instanceof AggregateError ? (error.cause.errors as CodedError[]) : [error];
}

/** A value as a file would have it: true, 12, text. What is more than one word stays a text. */
export function parseScalar(text: string): unknown {
  return /^[\w.+-]+$/.test(text) ? parse(text, { schema: 'core' }) : text;
}

/** Plain data as YAML 1.2 that this reader takes again: no aliases, no tags, maps below the second level on one line. */
export function formatYaml(value: unknown): string {
  const document = new YamlDocument(value, { aliasDuplicateObjects: false, version: '1.2', schema: 'core' });
  visit(document, {
    Collection: (_, node, path) => {
      if (path.filter(isCollection).length >= 2) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

const tooDeep = `expected at most ${maxYamlDepth} levels, found more`;

function syntaxMessage(code: string, message: string): string {
  // The parser recurses; it answers a document that is too deep for its stack with this text.
  if (message.includes('call stack')) return tooDeep;
  if (code === 'TAG_RESOLVE_FAILED') return `expected no tag; ${message}`;
  if (code === 'MULTIPLE_DOCS') return 'expected one document, found a second';
  return message;
}

/** Keys are texts; numbers and booleans count as what was written. */
function keyName(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  const { value } = key;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

/** Offset of the node at `path`; where the path leaves the document, of the last key or item that exists. */
function locate(document: Document.Parsed, path: IssuePath, want: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = offsetOf(node) ?? 0;
  for (const [index, step] of path.entries()) {
    const last = index === path.length - 1;
    const pair: Pair | undefined = isMap(node) ? pairOf(node, step) : undefined;
    const next: unknown = pair === undefined ? itemOf(node, step) : pair.value;
    if (pair === undefined && next === undefined) return offset;
    const keyOffset = pair === undefined ? undefined : offsetOf(pair.key);
    const valueOffset = offsetOf(next);
    offset = (last && want === 'key' ? keyOffset : valueOffset) ?? keyOffset ?? valueOffset ?? offset;
    // An empty value has no width of its own; its key says more.
    if (isScalar(next) && next.range?.[0] === next.range?.[1]) offset = keyOffset ?? offset;
    node = next;
  }
  return offset;
}

function pairOf(map: YAMLMap, step: string | number): Pair | undefined {
  return map.items.find((pair) => keyName(pair.key) === String(step));
}

function itemOf(node: unknown, step: string | number): unknown {
  return isCollection(node) && !isMap(node) ? node.items[Number(step)] : undefined;
}

function offsetOf(node: unknown): number | undefined {
  if (isPair(node)) return offsetOf(node.key);
  return isNode(node) ? node.range?.[0] : undefined;
}
