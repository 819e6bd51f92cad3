// Whether a host has one spelling: `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port` (RFC 3986, 3.2.2 and 3.2.3, in
// the normal form of 6.2.2). A router that compares as written and a server that does not would see two hosts in
// `Plant.example`, `plant.example.`, `127.1` (CVE-2021-39155).
import { isIPv4 } from 'node:net';
import { maxHostCharacters, maxHostLabelCharacters } from './limits.ts';

/** Why readers differ about it; undefined for the one spelling. Never throws. */
export function hostFault(host: string): string | undefined {
  if (host === '') return 'no host';
  if (host.length > maxHostCharacters) return 'a host longer than a name can be';
  const literal = host.charCodeAt(0) === bracket;
  const end = literal ? host.indexOf(']') + 1 : host.indexOf(':');
  if (end > 0 && end < host.length && !isPort(host, end)) return 'a port that is not a plain number';
  if (literal) return isIpv6Literal(host.slice(0, end)) ? undefined : 'an IPv6 literal in another than its normal form';
  return nameFault(end === -1 ? host : host.slice(0, end));
}

const bracket = 0x5b;

function isPort(host: string, at: number): boolean {
  const port = host.slice(at);
  return /^:[1-9][0-9]{0,4}$/.test(port) && Number(port.slice(1)) <= 65_535;
}

/** In the form of RFC 5952, which is how the URL parser writes it; no zone, no other notation. */
function isIpv6Literal(literal: string): boolean {
  return URL.canParse(`http://${literal}/`) && new URL(`http://${literal}/`).hostname === literal;
}

function nameFault(name: string): string | undefined {
  let label = 0;
  for (let at = 0; at <= name.length; at++) {
    const code = at === name.length ? dot : name.charCodeAt(at);
    if (code === dot) {
      if (at === label)
        return at === name.length && at > 0 ? 'a host with a trailing dot' : 'a host with an empty label';
      if (at - label > maxHostLabelCharacters) return 'a host longer than a name can be';
      if (name.charCodeAt(label) === dash || name.charCodeAt(at - 1) === dash) return 'a host with a dash at an end';
      if (at < name.length) label = at + 1;
      else break;
    } else if (!isNameCharacter(code)) return characterFault(code);
  }
  // The last label decides whether it is an address (WHATWG URL, "ends in a number"): 127.1, 0x7f.1 and 010.0.0.1 are.
  const last = name.charCodeAt(label);
  if (last < zero || last > nine || !/^(?:\d+|0x[0-9a-f]*)$/.test(name.slice(label))) return undefined;
  return isIPv4(name) ? undefined : 'an IPv4 address in another than its normal form';
}

const dot = 0x2e;
const dash = 0x2d;
const zero = 0x30;
const nine = 0x39;
const underscore = 0x5f;

/** Names of services on one machine have underscores. */
const isNameCharacter = (code: number): boolean =>
  (code >= 0x61 && code <= 0x7a) || (code >= zero && code <= nine) || code === dash || code === underscore;

function characterFault(code: number): string {
  if (code >= 0x41 && code <= 0x5a) return 'a host with capital letters';
  if (code === 0x40) return 'user information in the host';
  if (code === 0x2c) return 'several hosts';
  return 'a host with a character that none has';
}
