// An operation by its name alone, for who asks before there is a request (OpenID AuthZEN). The answer has to hold for
// every request that is an instance of it: what surely contains it may open it, what may overlap it may deny it.
import type { SliceInterface, SliceOperation } from '../bundle/slice.ts';
import { MAX_NAMED_REQUESTS } from './limits.ts';
import { contains, mayOverlap } from './operation-contains.ts';
import { noMatch, type OperationMatch } from './operation-match.ts';
import { readPathPattern } from './path-trie.ts';
import type { Operation } from './request.ts';

export interface NamedOperationOf {
  /** No match for a name that the interface does not have. */
  readonly match: (name: string) => OperationMatch;
  /** Every request that it stands for, the query aside; undefined when they are not few, or cannot be listed. */
  readonly requestsOf: (name: string) => readonly Operation[] | undefined;
}

/** Worked out when first asked, once for each name: most interfaces are never asked by name. */
export function compileNamed(entry: SliceInterface): NamedOperationOf {
  const byName = new Map(entry.operations.map((operation) => [operation.name, operation]));
  const matches = new Map<string, OperationMatch>();
  return {
    match(name) {
      const known = matches.get(name);
      if (known !== undefined) return known;
      const operation = byName.get(name);
      if (operation === undefined) return noMatch;
      const match = matchOf(operation, entry);
      matches.set(name, match);
      return match;
    },
    requestsOf(name) {
      const operation = byName.get(name);
      return operation === undefined ? undefined : requestsOf(operation, entry.place);
    },
  };
}

function matchOf(operation: SliceOperation, entry: SliceInterface): OperationMatch {
  const { operations, place } = entry;
  // Where a server normalises paths, one that is written any way may come out as this operation, and denies reach it as written.
  const mayBe = entry.normalise === undefined ? mayOverlap : sharesMethod;
  const possible = operations.flatMap((other, index) =>
    other === operation || mayBe(operation, other, place) ? [index] : [],
  );
  const sure = possible.filter((index) => {
    const other = operations[index];
    return other !== undefined && (other === operation || contains(other, operation, place));
  });
  return { kind: 'matched', sure, possible: () => possible };
}

function sharesMethod(one: SliceOperation, other: SliceOperation): boolean {
  if (one.protocol !== 'http' || other.protocol !== 'http') return true;
  return one.methods.some((method) => other.methods.includes(method));
}

function requestsOf(operation: SliceOperation, place: string): readonly Operation[] | undefined {
  switch (operation.protocol) {
    case 'port':
      return [{ protocol: 'port' }];
    case 'modbus':
    case 'mqtt':
    case 'tls':
      return undefined;
    case 'http': {
      const patterns = operation.paths.map((path) => readPathPattern(path, place));
      if (patterns.some(({ rest, segments }) => rest || segments.includes(undefined))) return undefined;
      if (operation.methods.length * operation.paths.length > MAX_NAMED_REQUESTS) return undefined;
      return operation.methods.flatMap((method) =>
        operation.paths.map((path): Operation => ({ protocol: 'http', method, path })),
      );
    }
  }
}
