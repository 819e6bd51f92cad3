// Whether a request has one reading. Proxies, servers and frameworks disagree about doubled headers, odd hosts, overridden
// methods and header names that turn into each other; whatever two of them could read differently is ambiguous, and
// ambiguous is denied. What is left is canonical as it stands: nothing here repairs a request. The path is not read here
// but once, by the engine (policy/engine/http-path.ts), because an interface may say how its server reads paths.
// RFC 9110 (headers, methods), RFC 9112 (framing), RFC 3986 section 3.2 (host).
import { hostFault } from './host.ts';
import { maxRequestHeaderCharacters, maxRequestHeaders } from './limits.ts';
import { type HeaderRule, hopByHop, ruleOf } from './watched-headers.ts';

/** A request as a proxy reports it, untouched. */
export interface ReportedRequest {
  readonly method: string;
  /** Request target, query included. */
  readonly target: string;
  /** `:authority` or `Host`, `name` or `name:port`; undefined where the proxy cannot say, and then Host below counts. */
  readonly host: string | undefined;
  /** `http`, `https`, or empty where the proxy does not say. */
  readonly scheme: string;
  /**
   * Names and values in turn, each header line apart, as in Node's `rawHeaders` and in Envoy's `header_map`
   * (`encode_raw_headers: true`; `raw_value` read as Latin-1). Pseudo headers may be among them. A caller that looks at
   * bytes may leave out, and count below, what `ruleOf` does not know, when its name is of a-z, 0-9 and `-` and its value
   * free of control characters.
   */
  readonly headers: readonly string[];
  /** Lines and characters of all headers, where `headers` leaves some out. */
  readonly lines?: number;
  readonly characters?: number;
  /** Lines of one name come joined by commas, as in Envoy's `headers`: a comma may then hide a second line. */
  readonly joined?: boolean;
  /** Bytes of the body that came with the question, where the proxy sends one. */
  readonly bodyBytes?: number | undefined;
}

/**
 * Why the request has more than one reading, for `Question.ambiguous`; undefined for one that every server reads alike.
 * Never throws, and allocates nothing for an ordinary request. Of the target it judges only that all agree on it.
 */
export function ambiguityOf(request: ReportedRequest): string | undefined {
  const { method, scheme, headers } = request;
  if (scheme !== '' && scheme !== 'https' && scheme !== 'http') return 'a scheme other than http and https';
  const { lines = headers.length / 2, characters = 0 } = request;
  if (lines > maxRequestHeaders || characters > maxRequestHeaderCharacters) return 'more headers than any server reads';
  const host = request.host ?? valueOf(headers, ':authority') ?? valueOf(headers, 'host');
  return methodFault(method) ?? headersFault(request, host) ?? (host === undefined ? undefined : hostFault(host));
}

const ordinaryMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Why a method has more than one reading; undefined for one that every server reads alike. */
export function methodFault(method: string): string | undefined {
  if (ordinaryMethods.has(method)) return undefined;
  // What goes through a tunnel is seen by nobody here, and its target is a host (RFC 9110, 9.3.6).
  if (method === 'CONNECT') return 'CONNECT, which asks for a tunnel';
  return /^[A-Z][A-Z-]{0,31}$/.test(method) ? undefined : 'a method that is not of capital letters';
}

function headersFault(request: ReportedRequest, host: string | undefined): string | undefined {
  const { headers } = request;
  let characters = 0;
  let seen = 0;
  let others: Set<string> | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const written = headers[at] ?? '';
    const value = headers[at + 1];
    if (value === undefined) return 'a header without a value';
    characters += written.length + value.length;
    if (characters > maxRequestHeaderCharacters) return 'more header bytes than any server reads';
    if (hasControl(value)) return 'a control character in a header';
    if (written.charCodeAt(0) === colon) {
      if (!agrees(request, host, written, value)) return `${printable(written)} that differs from the request`;
      continue;
    }
    const kind = nameKind(written);
    if (kind === malformed) return 'a header name that is no token';
    const name = kind & capitals ? written.toLowerCase() : written;
    if (kind & odd && isAlias(name)) return `${printable(name)}, which some servers read as another header`;
    const watched = ruleOf(name);
    if (watched === undefined) continue;
    if (watched.bit === 0) {
      others ??= new Set();
      if (others.has(name)) return `${name} twice`;
      others.add(name);
    } else if (watched.rule !== 'connection') {
      if (seen & watched.bit) return `${name} twice`;
      seen |= watched.bit;
    }
    const fault = valueFault(watched.rule, name, value, request, host);
    if (fault !== undefined) return fault;
  }
  return seen & framing.length && seen & framing.coding ? 'content-length beside transfer-encoding' : undefined;
}

const partOfBody = 'a body of which only a part was sent';

const framing = { length: ruleOf('content-length')?.bit ?? 0, coding: ruleOf('transfer-encoding')?.bit ?? 0 };

const colon = 0x3a;

/** Pseudo headers (RFC 9113, 8.3.1) say again what the request says; others have no business here. */
function agrees(
  { method, target, scheme }: ReportedRequest,
  host: string | undefined,
  name: string,
  value: string,
): boolean {
  switch (name) {
    case ':method':
      return value === method;
    case ':path':
      return value === target;
    case ':scheme':
      return value === scheme || scheme === '';
    case ':authority':
      return value === host;
    default:
      return false;
  }
}

const malformed = 8;
const capitals = 4;
const odd = 2;

/** What a character does to a header name (RFC 9110, 5.6.2 `token`). */
const nameKinds: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  if (/[a-z0-9-]/.test(character)) return 1;
  if (/[A-Z]/.test(character)) return capitals;
  return /[!#$%&'*+.^_`|~]/.test(character) ? odd : malformed;
});

function nameKind(name: string): number {
  let kinds = name === '' ? malformed : 0;
  for (let at = 0; at < name.length; at++) kinds |= nameKinds[name.charCodeAt(at)] ?? malformed;
  return kinds >= malformed ? malformed : kinds;
}

/** CGI, WSGI, PHP and others make one variable of `Remote-User`, `Remote_User` and `Remote.User` (RFC 3875, 4.1.18). */
const isAlias = (name: string): boolean => ruleOf(name.replaceAll(/[^a-z0-9]/g, '-')) !== undefined;

/** A tab may stand in a value (RFC 9110, 5.5); CR, LF and NUL end one for some readers. */
function hasControl(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

function valueFault(
  rule: HeaderRule,
  name: string,
  value: string,
  { method, joined = false, bodyBytes }: ReportedRequest,
  host: string | undefined,
): string | undefined {
  if (rule === 'connection') return connectionFault(value);
  if (!/^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/.test(value))
    return `${name} with characters that not all readers keep`;
  switch (rule) {
    case 'host':
      return value === host ? undefined : 'Host differs from :authority';
    case 'length':
      if (!/^(?:0|[1-9][0-9]{0,17})$/.test(value)) return 'content-length that is no number';
      // Envoy 1.40 says of a body that fills its buffer exactly that it is whole, also when more comes behind it.
      return bodyBytes === undefined || Number(value) === bodyBytes ? undefined : partOfBody;
    case 'coding':
      return value === 'chunked' ? undefined : 'transfer-encoding other than chunked';
    case 'override':
      return value === method ? undefined : `${name} that asks for another method`;
    case 'whole':
      return value === 'false' ? undefined : partOfBody;
    case 'credentials':
      return isOneCredential(value, joined) ? undefined : `${name} with several values`;
    case 'single':
      return value.includes(',') ? `${name} with several values` : undefined;
    case 'list':
      return undefined;
  }
}

/** Commas may part the parameters of one credential (RFC 9110, 11.4); in a joined value they might part two. */
function isOneCredential(value: string, joined: boolean): boolean {
  if (!value.includes(',')) return true;
  return !joined && parameters.test(value.replaceAll(/"[^"\\]*"/g, '""'));
}

/**
 * `Digest realm="", nc=1`, the quoted texts being empty by then. Values without quotes have more characters in the field than
 * RFC 9110 gives them (`Credential=AKIA/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host;range` of AWS, S3 and what
 * speaks like it), but none that could part two credentials: space, comma, quote.
 */
const parameter = /[\w!#$%&'*+.^`|~-]+ *= *(?:""|[\w!#$%&'*+.^`|~:;/@-]+=*)/.source;
const parameters = new RegExp(`^[\\w-]+ +${parameter}(?: *, *${parameter})*$`);

/** A client that has the proxy drop an end-to-end header unmakes what the proxy says (RFC 9110, 7.6.1; CVE-2024-45410). */
function connectionFault(value: string): string | undefined {
  if (hopByHop.has(value)) return undefined;
  const foreign = value.split(',').some((option) => !hopByHop.has(option.trim().toLowerCase()));
  return foreign ? 'Connection that names a header which is not its own' : undefined;
}

/** The first, under any case. */
function valueOf(headers: readonly string[], wanted: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at]?.toLowerCase() === wanted) return headers[at + 1];
  return undefined;
}

/** The reason goes into logs and answers. */
const printable = (name: string): string => name.slice(0, 64).replaceAll(/[^\x21-\x7e]/g, '?');
