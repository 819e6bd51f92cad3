// Host, headers and body of HTTP operations. Surely inside is only what the enforcement point knows and every server reads
// alike; a deny is also reached by what is absent, repeated, or might be read as one of the values.
import { coversName, type Host, isHostPattern, splitHost } from '../bundle/http-bounds.ts';
import type { SliceOperation } from '../bundle/slice.ts';
import type { Operation } from './request.ts';

type HttpOperation = Extract<SliceOperation, { protocol: 'http' }>;
type HttpRequest = Extract<Operation, { protocol: 'http' }>;

export interface HttpBounds {
  readonly isInside: (request: HttpRequest) => boolean;
  readonly mayBeInside: (request: HttpRequest) => boolean;
}

/** Undefined for an operation without bounds. */
export function compileHttpBounds({ hosts, headers, maxBodyBytes }: HttpOperation): HttpBounds | undefined {
  const bounds = [
    ...(hosts === undefined ? [] : [hostBound(hosts)]),
    ...Object.entries(headers ?? {}).map(([name, values]) => headerBound(name, values)),
    ...(maxBodyBytes === undefined ? [] : [bodyBound(maxBodyBytes)]),
  ];
  if (bounds.length === 0) return undefined;
  return {
    isInside: (request) => bounds.every((bound) => bound.isInside(request)),
    mayBeInside: (request) => bounds.every((bound) => bound.mayBeInside(request)),
  };
}

function hostBound(hosts: readonly string[]): HttpBounds {
  const patterns = hosts.flatMap((text) => splitHost(text) ?? []);
  return {
    isInside: ({ host }) => {
      const said = host === undefined ? undefined : readHost(host.toLowerCase());
      if (said === undefined) return false;
      return patterns.some(
        ({ name, port }) => coversName(name, said.name) && (port === undefined || port === said.port),
      );
    },
    mayBeInside: ({ host }) => {
      // Servers choose by name; many look at no port, and take a name with a last dot for the same.
      const said = host === undefined ? undefined : readHost(foldText(host).replace(/\.(?=$|:)/, ''));
      return said === undefined || patterns.some(({ name }) => coversName(name, said.name));
    },
  };
}

/** Undefined for a host that two readers could take for two. */
function readHost(text: string): Host | undefined {
  return isHostPattern(text) && !text.includes('*') ? splitHost(text) : undefined;
}

function headerBound(name: string, values: readonly string[]): HttpBounds {
  const exact = new Set(values);
  const folded = new Set(values.map(foldText));
  const linesOf = ({ headers }: HttpRequest): readonly string[] =>
    headers !== undefined && Object.hasOwn(headers, name) ? (headers[name] ?? []) : [];
  return {
    isInside: (request) => {
      const [value, ...more] = linesOf(request);
      return value !== undefined && more.length === 0 && exact.has(value);
    },
    mayBeInside: (request) => {
      const [value, ...more] = linesOf(request);
      if (value === undefined || more.length > 0) return true;
      // A list of one name is a line with commas (RFC 9110, 5.3), and some readers take its first or its last element.
      return [value, ...value.split(',')].some((part) => folded.has(foldText(part)));
    },
  };
}

function bodyBound(most: number): HttpBounds {
  const isKnown = (bytes: number | undefined): bytes is number => Number.isSafeInteger(bytes) && Number(bytes) >= 0;
  return {
    isInside: ({ bodyBytes }) => isKnown(bodyBytes) && bodyBytes <= most,
    mayBeInside: ({ bodyBytes }) => !isKnown(bodyBytes) || bodyBytes <= most,
  };
}

/** How a reader may take it that takes spellings for the same. */
const foldText = (text: string): string => text.normalize('NFKC').toLowerCase().trim();

/** Whether the bounds of `inner` leave nothing that those of `outer` refuse. */
export function boundsContain(outer: HttpOperation, inner: HttpOperation): boolean {
  return (
    hostsContain(outer.hosts, inner.hosts) &&
    Object.entries(outer.headers ?? {}).every(([name, values]) => {
      const asked = valuesOf(inner, name);
      return asked !== undefined && asked.every((value) => values.includes(value));
    }) &&
    (outer.maxBodyBytes === undefined || (inner.maxBodyBytes !== undefined && inner.maxBodyBytes <= outer.maxBodyBytes))
  );
}

function hostsContain(outer: readonly string[] | undefined, inner: readonly string[] | undefined): boolean {
  if (outer === undefined) return true;
  const wide = outer.flatMap((text) => splitHost(text) ?? []);
  return (
    inner?.every((text) => {
      const wanted = splitHost(text);
      return wide.some(
        ({ name, port }) =>
          wanted !== undefined && coversName(name, wanted.name) && (port ?? wanted.port) === wanted.port,
      );
    }) ?? false
  );
}

/** Whether a request surely inside the bounds of `inner` may be taken for one of `other`. */
export function boundsOverlap(inner: HttpOperation, other: HttpOperation): boolean {
  const headers = Object.entries(inner.headers ?? {}).every(([name, values]) => {
    const asked = valuesOf(other, name);
    if (asked === undefined) return true;
    const { mayBeInside } = headerBound(name, asked);
    return values.some((value) =>
      mayBeInside({ protocol: 'http', method: '', path: '', headers: { [name]: [value] } }),
    );
  });
  if (!headers || inner.hosts === undefined || other.hosts === undefined) return headers;
  const names = other.hosts.flatMap((text) => splitHost(text)?.name ?? []);
  return inner.hosts.some((text) => {
    const own = splitHost(text)?.name ?? '';
    return names.some((name) => coversName(name, own) || coversName(own, name));
  });
}

function valuesOf({ headers = {} }: HttpOperation, name: string): readonly string[] | undefined {
  return Object.hasOwn(headers, name) ? headers[name] : undefined;
}
