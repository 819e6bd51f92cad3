// The join line: everything a device needs to enrol, in one line a person can carry. Written by the control plane,
// read by the enrolling edge. It pins the root by its SHA-256, so the secret is only sent to the right server.
//   ew1.<base64url of {"v":1,"td":…,"addr":"host:port","id":…,"secret":…,"ca":"sha256:<hex>"}>
import { z } from 'zod';
import { parseSpiffeId } from '../identity/spiffe-id.ts';
import { caErrors } from './errors.ts';
import { limits } from './limits.ts';

const PREFIX = 'ew1.';

export interface JoinLine {
  readonly trustDomain: string;
  /** `host:port` of the enrolment listener; an IPv6 address stands in brackets. */
  readonly address: string;
  readonly tokenId: string;
  readonly secret: Buffer;
  /** `sha256:<hex>` over the DER of the root certificate. */
  readonly rootFingerprint: string;
}

export const tokenIdPattern: RegExp = new RegExp(`^[0-9a-f]{${limits.tokenIdBytes * 2}}$`);

const addressPattern =
  /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)):([1-9][0-9]{0,4})$/;

const wireSchema = z.strictObject({
  v: z.literal(1),
  td: z.string().refine(isTrustDomain, 'a trust domain'),
  addr: z.string().refine((text) => splitAddress(text) !== undefined, 'host:port'),
  id: z.string().regex(tokenIdPattern, 'a token id'),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/, '32 bytes in base64url'),
  ca: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'sha256:<hex>'),
});

/** Host (without brackets) and port of a `host:port`; undefined when it is none. */
export function splitAddress(address: string): { host: string; port: number } | undefined {
  const match = addressPattern.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** The one form of a join line; parsing accepts no other. */
export function formatJoinLine(line: JoinLine): string {
  const json = JSON.stringify({
    v: 1,
    td: line.trustDomain,
    addr: line.address,
    id: line.tokenId,
    secret: line.secret.toString('base64url'),
    ca: line.rootFingerprint,
  });
  return PREFIX + Buffer.from(json, 'utf8').toString('base64url');
}

/**
 * Reads a join line as it comes from a file, standard input or a prompt: white space around it is ignored.
 * The text has to be exactly what `formatJoinLine` writes for the result, so a repeated key, another order, a
 * different encoding of the same bytes or anything appended is refused. Errors: CA_JOIN_LINE_INVALID, and they never
 * quote the line, which holds a secret.
 */
export function parseJoinLine(input: string): JoinLine {
  const text = input.trim();
  if (!text.startsWith(PREFIX)) throw invalid(`it does not start with ${PREFIX}`);
  if (text.length > limits.joinLineMaxCharacters) throw invalid('it is too long');
  const encoded = text.slice(PREFIX.length);
  if (!/^[A-Za-z0-9_-]+$/.test(encoded)) throw invalid('it holds a character that does not belong there');
  const wire = wireSchema.safeParse(parseJson(Buffer.from(encoded, 'base64url')));
  if (!wire.success) {
    const issue = wire.error.issues[0];
    throw invalid(`field ${issue?.path.join('.') || 'list'} is missing, unknown or malformed`);
  }
  const { td, addr, id, secret, ca } = wire.data;
  const line: JoinLine = {
    trustDomain: td,
    address: addr,
    tokenId: id,
    secret: Buffer.from(secret, 'base64url'),
    rootFingerprint: ca,
  };
  if (formatJoinLine(line) !== text) throw invalid('it is not in the one form a control plane writes');
  return line;
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('it was cut or changed');
  }
}

function isTrustDomain(text: string): boolean {
  try {
    return parseSpiffeId(`spiffe://${text}/control/server`).trustDomain === text;
  } catch {
    return false;
  }
}

function invalid(why: string): Error {
  return caErrors.error('CA_JOIN_LINE_INVALID', `the join line cannot be used: ${why}`);
}
