// Reads what decides out of the bytes of an ext_authz CheckRequest (envoy.service.auth.v3), about ten times faster than
// building the message. Stricter than protobuf asks: a field that may stand once and stands twice has two readings, so it
// is refused, as is text that is not UTF-8. Unknown fields are skipped: a newer Envoy says more than we read.
import { bearerOf } from '../bearer.ts';
import type { HttpReads } from '../../../policy/bundle/index.ts';
import { headerFamily, knownOf } from '../http-known.ts';
import { ambiguityOf } from '../http-request.ts';
import { maxContextAttributes } from '../limits.ts';
import { parseFulfils } from '../obligations.ts';
import { exactPrincipal } from '../principal.ts';
import type { PeerEvidence, Question } from '../question.ts';
import { mayBeWatched, ruleOf } from '../watched-headers.ts';
import { WireFault, WireReader } from './wire-reader.ts';
import { textOf, Words } from './wire-text.ts';

/** Message fields by tag: number times 8, plus 2 for spans and 0 for varints. */
const CHECK = { attributes: 10 } as const;
const ATTRIBUTES = { source: 10, destination: 18, request: 34, extensions: 82 } as const;
const DESTINATION = { labels: 26 } as const;
const PEER = { address: 10, principal: 34, certificate: 42 } as const;
const ADDRESS = { socket: 10 } as const;
const SOCKET = { address: 18, port: 24 } as const;
const REQUEST = { http: 18 } as const;
const HTTP = {
  method: 18,
  headers: 26,
  path: 34,
  host: 42,
  scheme: 50,
  body: 90,
  rawBody: 98,
  headerMap: 106,
} as const;
const HEADER_MAP = { headers: 10 } as const;
const HEADER = { key: 10, value: 18, raw: 26 } as const;
const ENTRY = { key: 10, value: 18 } as const;

/** Bit of each field number that is read. */
const bits = (fields: Readonly<Record<string, number>>): number =>
  Object.values(fields).reduce((mask, tag) => mask | (1 << (tag >>> 3)), 0);
const READ = {
  check: bits(CHECK),
  attributes: bits(ATTRIBUTES),
  destination: bits(DESTINATION),
  peer: bits(PEER),
  address: bits(ADDRESS),
  socket: bits(SOCKET),
  request: bits(REQUEST),
  http: bits(HTTP),
  headerMap: bits(HEADER_MAP),
  header: bits(HEADER),
  entry: bits(ENTRY),
};

const interfaceExtension = 'edgeward-interface';
/** `edgeward-fulfils: "custom:badge custom:door"`: obligations that this filter chain carries out. */
const fulfilsExtension = 'edgeward-fulfils';
/** `edgeward-attribute-line: press-3` is the context attribute `line`, a string. */
const attributePrefix = 'edgeward-attribute-';

const words = new Words(4_096, 256);
/** Envoy sends the certificate as URL-encoded PEM (include_peer_certificate); the same few clients come again. */
const certificates = new Words(8_192, 8_192, pemOf);

/** Principals; empty for nobody. */
const principals = new Words(8_192, 256, (bytes, start, end) => exactPrincipal(textOf(bytes, start, end)) ?? '');
/** Names of headers; empty for one on which nothing rests, so that its value stays bytes. */
const headerNames = new Words(1_024, 64, (bytes, start, end) => {
  const name = textOf(bytes, start, end);
  return /^[a-z0-9-]+$/.test(name) && ruleOf(name) === undefined ? '' : name;
});

/** What one of Envoy's filters is configured to say. */
class Configured {
  interface: string | undefined;
  fulfils: string | undefined;
  #attributes: Record<string, string> | undefined;
  #count = 0;

  take(key: string, value: string): void {
    if (key === interfaceExtension) {
      if (this.interface !== undefined) throw new WireFault('two interfaces');
      this.interface = value;
    } else if (key === fulfilsExtension) {
      if (this.fulfils !== undefined) throw new WireFault('two lists of what is fulfilled');
      this.fulfils = value;
    } else if (key.startsWith(attributePrefix)) {
      const name = key.slice(attributePrefix.length);
      // Without a prototype: `__proto__` is a name like any other.
      this.#attributes ??= Object.create(null) as Record<string, string>;
      if (Object.hasOwn(this.#attributes, name)) throw new WireFault('two values of one context attribute');
      this.#attributes[name] = value;
      this.#count++;
    }
  }

  /** None where there are more than any filter has reason to say: what nobody says opens nothing. */
  attributes(): Readonly<Record<string, string>> | undefined {
    return this.#count > maxContextAttributes ? undefined : this.#attributes;
  }
}

/** `reads`: what is said of the request beside method and path. Throws WireFault for what no Envoy sends. */
export function readCheckRequest(message: Buffer, reads?: HttpReads): Question {
  return new CheckReader(message, reads).read();
}

class CheckReader {
  readonly #bytes: Buffer;
  readonly #reads: HttpReads | undefined;
  readonly #wire: WireReader;
  #seen = 0;

  readonly #extensions = new Configured();
  readonly #labels = new Configured();
  #principal = '';
  #certificate = '';
  #host = '';
  #port = 0;
  #method = '';
  #path = '';
  #isHttp = false;
  #authority = '';
  #scheme = '';
  /** Names and values of headers that matter, and how many lines and bytes all of them have. */
  readonly #headers: string[] = [];
  #headerLines = 0;
  #headerBytes = 0;
  #joined = false;
  #bodyBytes: number | undefined;

  constructor(bytes: Buffer, reads: HttpReads | undefined) {
    this.#bytes = bytes;
    this.#reads = reads;
    this.#wire = new WireReader(bytes);
  }

  read(): Question {
    const wire = this.#wire;
    const end = this.#bytes.length;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === CHECK.attributes) this.#readAttributes(this.#once(1 << 0, end));
      else wire.skip(tag, end, READ.check);
    }
    // Each filter says its interface in a place of its own, so neither can ask the question of the other.
    const said = this.#isHttp ? this.#extensions : this.#labels;
    const attributes = said.attributes();
    const fulfils = parseFulfils(said.fulfils);
    const ambiguous = this.#isHttp ? this.#ambiguity() : undefined;
    const question: Question = {
      interface: said.interface ?? '',
      operation: this.#isHttp ? this.#operation() : { protocol: 'port' },
      peer: this.#peer(),
      connection: this.#connection(),
      source: 'ext-authz',
    };
    if (attributes === undefined && fulfils === undefined && ambiguous === undefined) return question;
    return {
      ...question,
      ...(attributes === undefined ? {} : { attributes }),
      ...(fulfils === undefined ? {} : { fulfils }),
      ...(ambiguous === undefined ? {} : { ambiguous }),
    };
  }

  #operation(): Question['operation'] {
    const operation = { protocol: 'http' as const, method: this.#method, path: this.#path };
    if (this.#reads === undefined) return operation;
    return { ...operation, ...knownOf(this.#authority, this.#headers, true, this.#reads) };
  }

  #ambiguity(): string | undefined {
    return ambiguityOf({
      method: this.#method,
      target: this.#path,
      host: this.#authority,
      scheme: this.#scheme,
      headers: this.#headers,
      lines: this.#headerLines,
      characters: this.#headerBytes,
      joined: this.#joined,
      bodyBytes: this.#bodyBytes,
    });
  }

  #peer(): PeerEvidence {
    const bearer = this.#bearer();
    const certificatePem = this.#certificate;
    if (certificatePem !== '') return bearer === undefined ? { certificatePem } : { certificatePem, bearer };
    const said = bearer === undefined ? {} : { bearer };
    return this.#principal === '' ? said : { principal: this.#principal, ...said };
  }

  /** Of the one Authorization line; with two the question is ambiguous too. */
  #bearer(): string | undefined {
    const headers = this.#headers;
    let found: string | undefined;
    for (let at = 0; at < headers.length; at += 2) {
      if (headers[at]?.toLowerCase() !== 'authorization') continue;
      if (found !== undefined) return undefined;
      found = headers[at + 1] ?? '';
    }
    return found === undefined ? undefined : bearerOf(found);
  }

  #connection(): string {
    if (this.#host === '') return '';
    return this.#host.includes(':') ? `[${this.#host}]:${this.#port}` : `${this.#host}:${this.#port}`;
  }

  /** The span of a field that may stand only once; `bit` is its own. */
  #once(bit: number, end: number): number {
    if ((this.#seen & bit) !== 0) throw new WireFault('a field that may stand once stands twice');
    this.#seen |= bit;
    return this.#wire.span(end);
  }

  #word(end: number): string {
    const wire = this.#wire;
    const text = words.text(this.#bytes, wire.at, end);
    wire.at = end;
    return text;
  }

  #readAttributes(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === ATTRIBUTES.source) this.#readPeer(this.#once(1 << 1, end));
      else if (tag === ATTRIBUTES.request) this.#readRequest(this.#once(1 << 2, end));
      else if (tag === ATTRIBUTES.destination) this.#readDestination(this.#once(1 << 11, end));
      else if (tag === ATTRIBUTES.extensions) this.#readEntry(wire.span(end), this.#extensions);
      else wire.skip(tag, end, READ.attributes);
    }
  }

  #readPeer(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === PEER.address) this.#readAddress(this.#once(1 << 3, end));
      else if (tag === PEER.principal) {
        const stop = this.#once(1 << 4, end);
        this.#principal = principals.text(this.#bytes, wire.at, stop);
        wire.at = stop;
      } else if (tag === PEER.certificate) {
        const stop = this.#once(1 << 5, end);
        this.#certificate = certificates.text(this.#bytes, wire.at, stop);
        wire.at = stop;
      } else wire.skip(tag, end, READ.peer);
    }
  }

  #readDestination(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === DESTINATION.labels) this.#readEntry(wire.span(end), this.#labels);
      else wire.skip(tag, end, READ.destination);
    }
  }

  #readAddress(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === ADDRESS.socket) this.#readSocketAddress(this.#once(1 << 6, end));
      else wire.skip(tag, end, READ.address);
    }
  }

  #readSocketAddress(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === SOCKET.address) {
        const stop = this.#once(1 << 7, end);
        // Not a word: there are too many of them to come again.
        this.#host = textOf(this.#bytes, wire.at, stop);
        wire.at = stop;
      } else if (tag === SOCKET.port) this.#port = wire.uint32(end);
      else wire.skip(tag, end, READ.socket);
    }
  }

  #readRequest(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === REQUEST.http) this.#readHttp(this.#once(1 << 8, end));
      else wire.skip(tag, end, READ.request);
    }
  }

  #readHttp(end: number): void {
    const wire = this.#wire;
    this.#isHttp = true;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === HTTP.method) this.#method = this.#word(this.#once(1 << 9, end));
      else if (tag === HTTP.path) {
        const stop = this.#once(1 << 10, end);
        this.#path = textOf(this.#bytes, wire.at, stop);
        wire.at = stop;
      } else if (tag === HTTP.host) this.#authority = this.#word(this.#once(1 << 12, end));
      else if (tag === HTTP.scheme) this.#scheme = this.#word(this.#once(1 << 13, end));
      else if (tag === HTTP.headerMap) this.#readHeaderMap(this.#once(1 << 14, end));
      else if (tag === HTTP.headers) {
        this.#joined = true;
        this.#readHeader(wire.span(end));
      } else if (tag === HTTP.body || tag === HTTP.rawBody) {
        const stop = this.#once(1 << 15, end);
        this.#bodyBytes = stop - wire.at;
        wire.at = stop;
      } else wire.skip(tag, end, READ.http);
    }
  }

  /** `encode_raw_headers: true`: every line apart, its value as bytes. */
  #readHeaderMap(end: number): void {
    const wire = this.#wire;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === HEADER_MAP.headers) this.#readHeader(wire.span(end));
      else wire.skip(tag, end, READ.headerMap);
    }
  }

  /** A HeaderValue, or an entry of the map of joined headers, whose fields have the same numbers. */
  #readHeader(end: number): void {
    const wire = this.#wire;
    const bytes = this.#bytes;
    let name: string | undefined;
    let value = wire.at;
    let stop = -1;
    this.#headerLines++;
    this.#headerBytes += end - wire.at;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === HEADER.key && name === undefined) {
        const last = wire.span(end);
        name = last === wire.at ? emptyName : this.#headerName(wire.at, last);
        wire.at = last;
      } else if ((tag === HEADER.value || tag === HEADER.raw) && stop === -1) {
        stop = wire.span(end);
        value = wire.at;
        wire.at = stop;
      } else if (tag < 32) throw new WireFault('a header with two names or values');
      else wire.skip(tag, end, READ.header);
    }
    if (name === '' && !hasControl(bytes, value, stop)) return;
    if (name !== undefined && stop !== -1 && this.#isKnown(name, value, stop)) return;
    this.#headers.push(name ?? emptyName, stop === -1 ? '' : bytes.toString('latin1', value, stop));
  }

  #headerName(start: number, end: number): string {
    const { headers } = this.#reads ?? {};
    if (headers === undefined || headers.size === 0) return headerName(this.#bytes, start, end);
    const name = textOf(this.#bytes, start, end);
    return headers.has(headerFamily(name)) ? name : headerName(this.#bytes, start, end);
  }

  /** A pseudo header that says what its field has said already. */
  #isKnown(name: string, start: number, end: number): boolean {
    switch (name) {
      case ':path':
        return (this.#seen & (1 << 10)) !== 0 && isText(this.#bytes, start, end, this.#path);
      case ':method':
        return (this.#seen & (1 << 9)) !== 0 && isText(this.#bytes, start, end, this.#method);
      case ':authority':
        return (this.#seen & (1 << 12)) !== 0 && isText(this.#bytes, start, end, this.#authority);
      case ':scheme':
        return (this.#seen & (1 << 13)) !== 0 && isText(this.#bytes, start, end, this.#scheme);
      default:
        return false;
    }
  }

  #readEntry(end: number, into: Configured): void {
    const wire = this.#wire;
    let key: string | undefined;
    let value: string | undefined;
    while (wire.at < end) {
      const tag = wire.tag(end);
      if (tag === ENTRY.key && key === undefined) key = this.#word(wire.span(end));
      else if (tag === ENTRY.value && value === undefined) value = this.#word(wire.span(end));
      else if (tag === ENTRY.key || tag === ENTRY.value) throw new WireFault('an entry with two keys or values');
      else wire.skip(tag, end, READ.entry);
    }
    into.take(key ?? '', value ?? '');
  }
}

/** As `headerNames` says, found out for most names without looking there. */
function headerName(bytes: Buffer, start: number, end: number): string {
  if (!mayBeWatched(bytes[start] as number, bytes[start + 2] ?? 0, end - start)) {
    let at = start;
    while (at < end && plainInName[bytes[at] as number] === 1) at++;
    if (at === end) return '';
  }
  return headerNames.text(bytes, start, end);
}

/** 1 for the bytes of [a-z0-9-]. */
const plainInName = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[a-z0-9-]/.test(String.fromCharCode(byte))));

/** Whether the bytes are this text, which is ASCII where they are. */
function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let at = 0; at < text.length; at++) {
    const byte = bytes[start + at] as number;
    if (byte >= 0x80 || byte !== text.charCodeAt(at)) return false;
  }
  return true;
}

function pemOf(bytes: Buffer, start: number, end: number): string {
  const text = textOf(bytes, start, end);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** No pseudo header there is, so that it is refused as one. */
const emptyName = ':';

/** As of `ambiguityOf`, in bytes: a tab may stand in a value. */
function hasControl(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return true;
  }
  return false;
}
