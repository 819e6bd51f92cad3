// SPIFFE IDs (spiffe/spiffe standards/SPIFFE-ID.md section 2), parsed by hand: `new URL` normalises dots, percent
// escapes, case and backslashes, so what it verified would not be what was written.
import { identityError } from './errors.ts';
import { MAX_NAME_CHARACTERS, MAX_SPIFFE_ID_CHARACTERS, MAX_TRUST_DOMAIN_CHARACTERS } from './limits.ts';

export type SpiffeKind = 'device' | 'workload' | 'operator' | 'control';

/** An identity of one of our kinds. `uri` is canonical: equal identities have equal `uri`. */
export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash, e.g. `/device/plc-1`. */
  readonly path: string;
  readonly kind: SpiffeKind;
  /** Last segment: device id, workload, operator, or part of the control plane. */
  readonly name: string;
  /** Device id, of a device itself and of a workload on it. */
  readonly device: string | undefined;
  readonly uri: string;
}

/** What the standard alone says of a SPIFFE ID; the path is empty for a trust domain's own ID. */
export interface SpiffeUri {
  readonly trustDomain: string;
  readonly path: string;
  readonly uri: string;
}

const SCHEME = 'spiffe://';
const trustDomainPattern = /^[a-z0-9._-]*$/;
const segmentPattern = /^[a-zA-Z0-9._-]*$/;

function invalid(reason: string): Error {
  // The offending text is not repeated: it comes from strangers and ends in logs and terminals.
  return identityError('IDENTITY_SPIFFE_ID_INVALID', `SPIFFE ID refused: ${reason}`);
}

function checkTrustDomain(name: string): void {
  if (name.length === 0) throw invalid('the trust domain is empty');
  if (name.length > MAX_TRUST_DOMAIN_CHARACTERS) throw invalid('the trust domain is longer than 255 characters');
  if (!trustDomainPattern.test(name)) throw invalid('the trust domain has a character outside a-z 0-9 . - _');
}

function checkSegment(segment: string): void {
  if (segment.length === 0) throw invalid('the path has an empty segment or a trailing slash');
  if (segment === '.' || segment === '..') throw invalid('the path has a relative segment');
  if (!segmentPattern.test(segment)) throw invalid('the path has a character outside a-z A-Z 0-9 . - _');
}

/** Any SPIFFE ID of the standard's grammar; the scheme is compared without case, everything else as written. */
export function parseSpiffeUri(uri: string): SpiffeUri {
  if (uri.length > MAX_SPIFFE_ID_CHARACTERS) throw invalid('it is longer than 2048 characters');
  if (uri.slice(0, SCHEME.length).toLowerCase() !== SCHEME) throw invalid('the scheme is not spiffe');
  const rest = uri.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? '' : rest.slice(slash);
  checkTrustDomain(trustDomain);
  if (path !== '') for (const segment of path.slice(1).split('/')) checkSegment(segment);
  return { trustDomain, path, uri: SCHEME + rest };
}

/** An identity of one of our kinds; any other path, also a valid SPIFFE one, is refused. */
export function parseSpiffeId(uri: string): SpiffeId {
  const { trustDomain, path, uri: canonical } = parseSpiffeUri(uri);
  const [first, second, third, fourth, ...more] = path.slice(1).split('/');
  if (second === undefined || more.length > 0) throw invalid('the path names no kind that we know');
  const base = { trustDomain, path, uri: canonical };
  if (first === 'device' && third === 'workload' && fourth !== undefined) {
    checkName(second);
    checkName(fourth);
    return { ...base, kind: 'workload', name: fourth, device: second };
  }
  if (third !== undefined) throw invalid('the path names no kind that we know');
  checkName(second);
  if (first === 'device') return { ...base, kind: 'device', name: second, device: second };
  if (first === 'operator' || first === 'control') return { ...base, kind: first, name: second, device: undefined };
  throw invalid('the path names no kind that we know');
}

/** The trust domain of `spiffe://<trust-domain>`, as authorities carry it: without a path. */
export function parseTrustDomainId(uri: string): string {
  const { trustDomain, path } = parseSpiffeUri(uri);
  if (path !== '') throw invalid('the ID of a trust domain has no path');
  return trustDomain;
}

function checkName(name: string): void {
  if (name.length > MAX_NAME_CHARACTERS) throw invalid('a name is longer than 64 characters');
}

/** `spiffe://<trust-domain>`. */
export function trustDomainId(trustDomain: string): string {
  checkTrustDomain(trustDomain);
  return SCHEME + trustDomain;
}

/** One of our paths. A name that is no single segment is refused: it would make another kind of identity. */
function idOf(trustDomain: string, ...segments: readonly string[]): SpiffeId {
  checkTrustDomain(trustDomain);
  segments.forEach(checkSegment);
  return parseSpiffeId(`${SCHEME}${trustDomain}/${segments.join('/')}`);
}

/** `spiffe://<trust-domain>/device/<id>`. */
export function deviceId(trustDomain: string, id: string): SpiffeId {
  return idOf(trustDomain, 'device', id);
}

/** `spiffe://<trust-domain>/device/<id>/workload/<name>`. */
export function workloadId(trustDomain: string, device: string, name: string): SpiffeId {
  return idOf(trustDomain, 'device', device, 'workload', name);
}

/** `spiffe://<trust-domain>/operator/<name>`. */
export function operatorId(trustDomain: string, name: string): SpiffeId {
  return idOf(trustDomain, 'operator', name);
}

/** `spiffe://<trust-domain>/control/<part>`. */
export function controlId(trustDomain: string, part: string): SpiffeId {
  return idOf(trustDomain, 'control', part);
}
