// TLS operations: server names of the ClientHello, a star for the whole first label (RFC 6125, 6.4.3). Who sends no name,
// or one that is none, may be anybody: no grant opens it, and every deny reaches it.
import { isServerName } from '../bundle/tls.ts';
import type { SliceOperation } from '../bundle/slice.ts';
import { noMatch, type MatchOperation } from './operation-match.ts';

type TlsOperation = Extract<SliceOperation, { protocol: 'tls' }>;

/** `operations[i]` belongs to index `i`; undefined where the operation is of another protocol. */
export function compileTls(operations: readonly (TlsOperation | undefined)[]): MatchOperation {
  const byName = new Map<string, number[]>();
  const all: number[] = [];
  for (const [index, operation] of operations.entries()) {
    if (operation === undefined) continue;
    all.push(index);
    for (const name of new Set(operation.names)) byName.set(name, [...(byName.get(name) ?? []), index]);
  }
  return (operation) => {
    if (operation.protocol !== 'tls') return noMatch;
    const name = foldServerName(operation.serverName);
    if (name === undefined) return { kind: 'matched', sure: [], possible: () => all };
    const exact = byName.get(name) ?? [];
    const wild = byName.get(`*${name.slice(name.indexOf('.'))}`) ?? [];
    const sure = name.includes('.') ? [...new Set([...exact, ...wild])].sort((a, b) => a - b) : exact;
    return { kind: 'matched', sure, possible: () => sure };
  };
}

/** In lower case; undefined for what is no name, as one with a last dot (RFC 6066, section 3). */
export function foldServerName(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined;
  const name = text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
  return isServerName(name) ? name : undefined;
}

/** `pattern` as the policy writes it, `name` in lower case. */
export function serverNameMatches(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === name;
  const dot = name.indexOf('.');
  return dot > 0 && name.slice(dot) === pattern.slice(1);
}

/** Whether every name of `inner` is one of `outer`. */
export function containsTls(outer: TlsOperation, inner: TlsOperation): boolean {
  return inner.names.every((name) =>
    outer.names.some((pattern) => pattern === name || (!name.startsWith('*') && serverNameMatches(pattern, name))),
  );
}

export function overlapsTls(one: TlsOperation, other: TlsOperation): boolean {
  return one.names.some((name) =>
    other.names.some(
      (pattern) => pattern === name || serverNameMatches(pattern, name) || serverNameMatches(name, pattern),
    ),
  );
}
