// What an HTTP operation may ask of a request beside method and path: the host it names, single headers, the size of its body.
import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { isServerNamePattern } from './tls.ts';

/** Hosts, headers, and values of one header, of one operation. */
export const MAX_HOSTS = 256;
export const MAX_HEADERS = 16;
export const MAX_HEADER_VALUES = 256;
/** Characters of a host with its port: a name of 253 (RFC 1035, 2.3.4). */
const MAX_HOST_LENGTH = 260;
/** Characters of a header that a policy names, and of its value. */
const MAX_HEADER_NAME_LENGTH = 64;
const MAX_HEADER_VALUE_LENGTH = 1_024;
/** Bytes of a body that a bound can say: 1 TiB. */
export const MAX_BODY_BYTES = 2 ** 40;

export interface Host {
  /** Name, IPv4 address, or IPv6 address in brackets. */
  readonly name: string;
  readonly port: string | undefined;
}

/** `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port` (RFC 3986, 3.2); undefined for what is none of them. */
export function splitHost(text: string): Host | undefined {
  const [, name, port] = /^(\[[0-9a-f:.]+\]|[a-z0-9_.*-]+)(?::([1-9][0-9]{0,4}))?$/.exec(text) ?? [];
  return name === undefined || text.length > MAX_HOST_LENGTH ? undefined : { name, port };
}

/** Lower case; `*.` in front stands for one label; with a port it is only that port. */
export function isHostPattern(text: string): boolean {
  const host = splitHost(text);
  if (host === undefined || Number(host.port ?? 1) > 65_535) return false;
  const { name } = host;
  if (name.startsWith('[')) return isIPv6(name.slice(1, -1)) && new URL(`http://${name}/`).hostname === name;
  // A last label of digits makes an address of it, for readers that take `127.1` for one.
  return isServerNamePattern(name) && (isIPv4(name) || !/(^|\.)(\d+|0x[0-9a-f]*)$/.test(name));
}

/** Whether a name in lower case is one that the pattern's name stands for. */
export function coversName(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === name;
  const dot = name.indexOf('.');
  return dot > 0 && name.slice(dot) === pattern.slice(1);
}

export const headerNamePattern: RegExp = /^[a-z0-9][a-z0-9-]*$/;
/** Printable ASCII without space at an end (RFC 9110, 5.5), as readers keep it alike; no comma, which may part two values. */
export const headerValuePattern: RegExp = /^[\x21-\x2b\x2d-\x7e](?:[\x20-\x2b\x2d-\x7e]*[\x21-\x2b\x2d-\x7e])?$/;

export const httpBounds = {
  /** Hosts that a request may name; absent for any. */
  hosts: z.array(z.string().refine(isHostPattern)).min(1).max(MAX_HOSTS).optional(),
  /** Lower-case name to the values that it may have, of which it has to have one, once. */
  headers: z
    .record(
      z.string().regex(headerNamePattern).max(MAX_HEADER_NAME_LENGTH),
      z.array(z.string().regex(headerValuePattern).max(MAX_HEADER_VALUE_LENGTH)).min(1).max(MAX_HEADER_VALUES),
    )
    .refine((headers) => Object.keys(headers).length > 0 && Object.keys(headers).length <= MAX_HEADERS)
    .optional(),
  maxBodyBytes: z.int().min(0).max(MAX_BODY_BYTES).optional(),
};

/** What the operations of an interface ask of a request beside method and path. */
export interface HttpReads {
  /** Names of headers, in lower case. */
  readonly headers: ReadonlySet<string>;
}

interface Readable {
  readonly name: string;
  readonly operations: readonly (
    | {
        readonly protocol: 'http';
        readonly hosts?: unknown;
        readonly headers?: object | undefined;
        readonly maxBodyBytes?: unknown;
      }
    | { readonly protocol: 'modbus' | 'mqtt' | 'tls' | 'port' }
  )[];
}

/** By name of the interface; those that ask nothing more are left out. */
export function httpReadsOf(interfaces: readonly Readable[]): ReadonlyMap<string, HttpReads> {
  const reads = new Map<string, HttpReads>();
  for (const { name, operations } of interfaces) {
    for (const operation of operations) {
      if (operation.protocol !== 'http') continue;
      const { hosts, headers, maxBodyBytes } = operation;
      if ((hosts ?? headers ?? maxBodyBytes) === undefined) continue;
      reads.set(name, { headers: new Set([...(reads.get(name)?.headers ?? []), ...Object.keys(headers ?? {})]) });
    }
  }
  return reads;
}
