// Name constraints (RFC 5280 sections 4.2.1.10 and 6.1.3 (b), (c)) for URIs, DNS names and IP addresses. A constraint
// of another kind cannot be checked here, so it refuses every certificate below it.
import type { Certificate } from './certificate.ts';
import { identityError } from './errors.ts';

/** Checks the names of `certificate` against the constraints of one authority above it. */
export function checkNames(certificate: Certificate, authority: Certificate): void {
  const { nameConstraints: constraints } = authority;
  if (constraints === undefined) return;
  const refuse = (what: string) =>
    identityError(
      'IDENTITY_NAME_CONSTRAINED',
      `${what} of certificate ${certificate.serialHex} is outside the constraints of its authority`,
    );
  const { permitted, excluded } = constraints;
  if (permitted.others || excluded.others) throw refuse('a constraint of an unknown kind: no name');
  const names = certificate.subjectAltName;
  if (names === undefined) return;
  const { uris, dnsNames, ipAddresses } = names;
  if (!uris.every((uri) => allowed(uri, permitted.uris, excluded.uris, matchesUri))) throw refuse('a URI');
  if (!dnsNames.every((name) => allowed(name, permitted.dnsNames, excluded.dnsNames, matchesDns))) {
    throw refuse('a DNS name');
  }
  if (!ipAddresses.every((address) => allowed(address, permitted.ipRanges, excluded.ipRanges, matchesIp))) {
    throw refuse('an IP address');
  }
}

/** Whether `name` lies under `constraint`; undefined when the name has no form that could be compared. */
type Match<T> = (name: T, constraint: T) => boolean | undefined;

function allowed<T>(name: T, permitted: readonly T[], excluded: readonly T[], matches: Match<T>): boolean {
  // What cannot be compared counts as excluded.
  if (excluded.some((constraint) => matches(name, constraint) !== false)) return false;
  return permitted.length === 0 || permitted.some((constraint) => matches(name, constraint) === true);
}

/** Host of the URI: equal, or below a constraint that starts with a dot. A URI without a host cannot be compared. */
function matchesUri(uri: string, constraint: string): boolean | undefined {
  const host = /^[a-z][a-z0-9+.-]*:\/\/([^/?#:@]+)(?=[/?#]|$)/i.exec(uri)?.[1]?.toLowerCase();
  if (host === undefined) return undefined;
  const wanted = constraint.toLowerCase();
  return wanted.startsWith('.') ? host.endsWith(wanted) : host === wanted;
}

/** Equal, or with labels added on the left; a constraint that starts with a dot wants at least one label more. */
function matchesDns(name: string, constraint: string): boolean {
  const [host, wanted] = [name.toLowerCase(), constraint.toLowerCase()];
  return wanted === '' || host === wanted || host.endsWith(wanted.startsWith('.') ? wanted : `.${wanted}`);
}

function matchesIp(address: Buffer, range: Buffer): boolean {
  if (range.length !== address.length * 2) return false;
  return address.every((byte, index) => {
    const mask = range[address.length + index] ?? 0xff;
    return (byte & mask) === ((range[index] ?? 0) & mask);
  });
}
