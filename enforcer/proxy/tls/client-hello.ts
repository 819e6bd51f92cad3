// Reads the ClientHello of a connection that is not ours (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2): which server it names, and
// which application protocols it offers. Strict: what two programs could read in two ways is refused with a reason.
import { isIP } from 'node:net';
import { createCursor, type Cursor, CursorFault } from './cursor.ts';
import {
  MAX_APPLICATION_PROTOCOLS,
  MAX_HELLO_BYTES,
  MAX_HELLO_RECORDS,
  MAX_LABEL_CHARACTERS,
  MAX_NAME_CHARACTERS,
} from './limits.ts';
import { type RecordPiece, recordTypes } from './records.ts';

export interface ClientHello {
  /** RFC 6066, section 3, in lower case; undefined when the client names no server. */
  readonly serverName: string | undefined;
  /** RFC 7301, in the client's order; octets other than token characters and `/` are percent-encoded (as RFC 7639, 2.2). */
  readonly alpn: readonly string[];
  /**
   * The extension encrypted_client_hello is there (RFC 9849). Browsers always send it, most with nothing inside; which it is
   * only the holder of the key can tell, so the outer name is the one that counts.
   */
  readonly encrypted: boolean;
}

export type HelloProgress =
  | { readonly kind: 'more' }
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  | { readonly kind: 'refused'; readonly why: string };

export interface ClientHelloReader {
  /** Takes the pieces of the records of a client in order; a hello ends where a record ends. */
  push(piece: RecordPiece): HelloProgress;
  /** Between the first and the last byte of a hello. */
  isPartial(): boolean;
}

const clientHelloType = 1;
const messageHeaderBytes = 4;
const more: HelloProgress = { kind: 'more' };
const refused = (why: string): HelloProgress => ({ kind: 'refused', why });

/** Reads one hello after the other: a client sends a second one when the server asks for it (RFC 8446, 4.1.4). */
export function createClientHelloReader(): ClientHelloReader {
  const header = Buffer.alloc(messageHeaderBytes);
  let have = 0;
  let body: Buffer = Buffer.alloc(0);
  let filled = 0;
  let records = 0;

  const take = (fragment: Buffer): string | undefined => {
    const taken = fragment.copy(header, have, 0, messageHeaderBytes - have);
    have += taken;
    if (have > 0 && header[0] !== clientHelloType) return `handshake message ${header[0]} instead of a ClientHello`;
    if (have < messageHeaderBytes) return undefined;
    const length = header.readUIntBE(1, 3);
    if (length > MAX_HELLO_BYTES) return `a ClientHello of ${length} bytes, more than ${MAX_HELLO_BYTES}`;
    if (body.length !== length) body = Buffer.alloc(length);
    const rest = fragment.subarray(taken);
    if (rest.length > length - filled) return 'bytes behind the ClientHello in its record';
    filled += rest.copy(body, filled);
    return undefined;
  };

  return {
    push({ type, fragment, ends }) {
      if (type !== recordTypes.handshake) return refused(`a record of type ${type} within a ClientHello`);
      const fault = take(fragment);
      if (fault !== undefined) return refused(fault);
      if (!ends) return more;
      records += 1;
      if (have < messageHeaderBytes || filled < body.length) {
        return records < MAX_HELLO_RECORDS ? more : refused(`a ClientHello in more than ${MAX_HELLO_RECORDS} records`);
      }
      const whole = body;
      [have, filled, records, body] = [0, 0, 0, Buffer.alloc(0)];
      return parseClientHello(whole);
    },
    isPartial: () => have > 0 || records > 0,
  };
}

/** `body` is the message without its header. */
export function parseClientHello(body: Buffer): HelloProgress {
  try {
    return { kind: 'hello', hello: readHello(createCursor(body)) };
  } catch (error) {
    if (error instanceof CursorFault) return refused(error.message);
    throw error;
  }
}

const extensionTypes = { serverName: 0, alpn: 16, encryptedClientHello: 0xfe0d } as const;

function readHello(cursor: Cursor): ClientHello {
  const version = cursor.uint(2, 'version');
  if (version < 0x0301 || version > 0x0304) throw new CursorFault(`a ClientHello of version ${version.toString(16)}`);
  cursor.bytes(32, 'random');
  cursor.vector(1, [0, 32], 'session_id');
  const suites = cursor.vector(2, [2, 0xfffe], 'cipher_suites');
  if (suites.length % 2 === 1) throw new CursorFault('cipher_suites of an odd length');
  const compressions = cursor.vector(1, [1, 255], 'compression_methods');
  if (!compressions.includes(0)) throw new CursorFault('compression_methods without null');
  // Before TLS 1.2 there were none.
  if (cursor.left() === 0) return { serverName: undefined, alpn: [], encrypted: false };
  const extensions = readExtensions(createCursor(cursor.vector(2, [0, 0xffff], 'extensions')));
  cursor.end('ClientHello');
  const serverName = extensions.get(extensionTypes.serverName);
  const alpn = extensions.get(extensionTypes.alpn);
  const ech = extensions.get(extensionTypes.encryptedClientHello);
  // RFC 9849, section 5: an inner hello never travels by itself.
  if (ech !== undefined && ech[0] !== 0) throw new CursorFault('encrypted_client_hello that is no outer one');
  return {
    serverName: serverName === undefined ? undefined : readServerName(createCursor(serverName)),
    alpn: alpn === undefined ? [] : readProtocols(createCursor(alpn)),
    encrypted: ech !== undefined,
  };
}

function readExtensions(cursor: Cursor): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  while (cursor.left() > 0) {
    const type = cursor.uint(2, 'extension type');
    // RFC 8446, 4.2: at most one of a type.
    if (found.has(type)) throw new CursorFault(`extension ${type} twice`);
    found.set(type, cursor.vector(2, [0, 0xffff], `extension ${type}`));
  }
  return found;
}

function readServerName(cursor: Cursor): string {
  const names = createCursor(cursor.vector(2, [1, 0xffff], 'server_name_list'));
  cursor.end('server_name');
  const type = names.uint(1, 'name_type');
  if (type !== 0) throw new CursorFault(`server_name of type ${type}`);
  const name = names.vector(2, [1, 0xffff], 'host_name');
  names.end('server_name_list, which holds one name');
  return readHostName(name.toString('latin1').toLowerCase());
}

const label = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/;
/** What some resolvers take for an IPv4 address: a last label that is a number. */
const numeric = /^(?:\d+|0x[0-9a-f]*)$/;

function readHostName(name: string): string {
  if (name.endsWith('.')) throw new CursorFault('a server name with a trailing dot');
  const labels = name.split('.');
  const isName =
    name.length <= MAX_NAME_CHARACTERS &&
    labels.every((part) => part.length <= MAX_LABEL_CHARACTERS && label.test(part));
  if (isIP(name) !== 0 || numeric.test(labels.at(-1) ?? '')) throw new CursorFault('an address as server name');
  if (!isName) throw new CursorFault('a server name that is no host name');
  return name;
}

function readProtocols(cursor: Cursor): string[] {
  const list = createCursor(cursor.vector(2, [2, 0xffff], 'protocol_name_list'));
  cursor.end('application_layer_protocol_negotiation');
  const names: string[] = [];
  while (list.left() > 0) {
    if (names.length === MAX_APPLICATION_PROTOCOLS) {
      throw new CursorFault(`more than ${MAX_APPLICATION_PROTOCOLS} application protocols`);
    }
    names.push(protocolText(list.vector(1, [1, 255], 'protocol_name')));
  }
  return names;
}

/** Stand for themselves (RFC 9110, 5.6.2, and `/`, as in `http/1.1`); not the percent sign, so that no two names have one text. */
const plainOctet = /[A-Za-z0-9!#$&'*+.^_`|~/-]/;

function protocolText(name: Buffer): string {
  return [...name]
    .map((octet) => {
      const character = String.fromCharCode(octet);
      return plainOctet.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}
