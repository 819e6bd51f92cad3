// The headers that a proxy's own configuration sets, among all that it passes on.

/**
 * The named headers by name, absent ones empty. Undefined when one of them comes more than once, or under an alias that
 * only a client would send: one of the two is not the proxy's, and nobody can say which.
 *
 * @param headers Names and values in turn, each header line apart (Node's `rawHeaders`).
 * @param names Of a-z, 0-9 and `-`.
 */
export function ownHeaders<N extends string>(
  headers: readonly string[],
  names: readonly N[],
): Readonly<Record<N, string>> | undefined {
  const wanted = new Set<string>(names);
  const found = new Map<string, string>();
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    const known = wanted.has(name);
    if (!known && !wanted.has(canonical(name))) continue;
    if (!known || found.has(name)) return undefined;
    found.set(name, headers[at + 1] ?? '');
  }
  return Object.fromEntries(names.map((name) => [name, found.get(name) ?? ''])) as Record<N, string>;
}

/** CGI and its kind make one name of `X-Client-Cert`, `X_Client_Cert` and `X.Client.Cert` (RFC 3875, 4.1.18). */
const canonical = (name: string): string => name.replaceAll(/[^a-z0-9]/g, '-');
