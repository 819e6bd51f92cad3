// Break-glass tickets: what two people signed on their own machines, so that one edge opens some operations to one subject
// for some minutes (docs/decisions/0012). A request is canonical JSON (RFC 8785); a ticket is one compact JWS (RFC 7515) of
// that request a line, one from each approver. Pure: what is spent and what is open is the edge's to know.
import { z } from 'zod';
import { type JwsSigner, keyId, signJws, verifyJws } from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import { CodedError, errorTable } from '../../runtime/errors.ts';
import { parseCanonical } from './signed-json.ts';
import { idPattern } from './scalars.ts';
import { MAX_BREAK_GLASS_MINUTES, type SliceBreakGlass } from './slice.ts';

export const breakGlassErrors = errorTable({
  BREAK_GLASS_MALFORMED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Bring the file as "edgeward break-glass approve" wrote it; it may not be edited or joined by hand.',
  },
  BREAK_GLASS_SIGNATURE: {
    status: 'PERMISSION_DENIED',
    remedy: 'Have it approved by people whose keys the policy in force on this edge names.',
  },
  BREAK_GLASS_APPROVALS: {
    status: 'PERMISSION_DENIED',
    remedy: 'Have it approved by another approver of the profile; who asks for it cannot approve it.',
  },
  BREAK_GLASS_SCOPE: {
    status: 'PERMISSION_DENIED',
    remedy: 'Ask for what the profile in force on this edge allows, and have that approved.',
  },
  BREAK_GLASS_WHEN: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Use the ticket in its time, or have a new one approved.',
  },
});

const ticketType = 'edgeward-break-glass+json';
/** Milliseconds from the start to the end of a ticket's validity: it answers an emergency of today. */
export const MAX_TICKET_VALIDITY_MS = 24 * 3_600_000;
/** Milliseconds that the clock of who wrote the request may be ahead. */
const maxAheadMs = 5 * 60_000;
/** Characters of a ticket: sixteen approvals of a few kilobytes. */
const maxTicketLength = 64 * 1024;

const id = z.string().regex(idPattern);

const requestSchema = z
  .strictObject({
    format: z.literal(1),
    /** 128 random bits in hex: a ticket is used once. */
    ticket: z.string().regex(/^[0-9a-f]{32}$/),
    trustDomain: z.string(),
    /** The edge that opens. */
    device: id,
    profile: id,
    /** Of the profile, as the requester knows it. */
    generation: z.int().min(1),
    subject: id,
    operations: z.array(id).min(1).max(64),
    minutes: z.int().min(1).max(MAX_BREAK_GLASS_MINUTES),
    /** When it may be used, milliseconds since the epoch, end exclusive. */
    notBefore: z.int(),
    notAfter: z.int(),
    /** Who asks; approves nothing of it. */
    requestedBy: id,
    reason: z.string().trim().min(8).max(512),
  })
  .refine(({ operations }) => new Set(operations).size === operations.length, 'expected each operation once')
  .refine(
    ({ notBefore, notAfter }) => notBefore < notAfter && notAfter - notBefore <= MAX_TICKET_VALIDITY_MS,
    'expected notAfter at most 24 hours after notBefore',
  );

export type BreakGlassRequest = z.infer<typeof requestSchema>;

/** The private key of an approver. */
export type BreakGlassSigner = Omit<JwsSigner, 'typ'>;

const malformed = (message: string, cause?: unknown): CodedError =>
  breakGlassErrors.error('BREAK_GLASS_MALFORMED', message, cause === undefined ? {} : { cause });

const parseRequest = (bytes: Uint8Array): BreakGlassRequest =>
  parseCanonical(bytes, requestSchema, (message, cause) => malformed(`the request: ${message}`, cause));

/** The text of a request file. Throws BREAK_GLASS_MALFORMED for what no edge would accept. */
export function newBreakGlassRequest(request: BreakGlassRequest): string {
  const text = canonicalJson(request);
  parseRequest(Buffer.from(text));
  return `${text}\n`;
}

/** Reads a request file, or the request in a ticket, whose signatures nobody has looked at. */
export function readBreakGlassRequest(text: string): BreakGlassRequest {
  if (text.length > maxTicketLength || !text.endsWith('\n')) throw malformed('the file is not whole');
  return text.startsWith('{') ? parseRequest(Buffer.from(text.slice(0, -1))) : readUnverifiedTicket(text).request;
}

export interface UnverifiedTicket {
  readonly request: BreakGlassRequest;
  /** One compact JWS for each approver. */
  readonly approvals: readonly string[];
}

/** What a ticket says, for people to look at: no signature has been verified. */
export function readUnverifiedTicket(text: string): UnverifiedTicket {
  const approvals = approvalsIn(text);
  const [, payload = ''] = approvals[0]?.split('.') ?? [];
  return { request: parseRequest(Buffer.from(payload, 'base64url')), approvals };
}

/** The ticket with one more approval, from a request file or a ticket. */
export async function approveBreakGlass(text: string, signer: BreakGlassSigner): Promise<string> {
  const request = readBreakGlassRequest(text);
  const before = text.startsWith('{') ? '' : text;
  const approval = await signJws({ ...signer, typ: ticketType }, Buffer.from(canonicalJson(request)));
  return `${before}${approval}\n`;
}

/** Lines, each ended; nothing else, so that a ticket has one spelling. */
function approvalsIn(text: string): string[] {
  if (text.length > maxTicketLength || !text.endsWith('\n')) throw malformed('the ticket is not whole');
  return text.slice(0, -1).split('\n');
}

export interface TicketExpectation {
  readonly trustDomain: string;
  /** This edge. */
  readonly device: string;
  /** Of the verified bundle in force. */
  readonly profiles: readonly SliceBreakGlass[];
  /** Milliseconds since the epoch, and whether signed time was heard since the host booted. */
  readonly time: { readonly now: number; readonly trusted: boolean };
}

declare const verified: unique symbol;

/** A ticket that passed every check of `verifyTicket`; nothing else makes one. */
export interface VerifiedTicket {
  readonly [verified]: true;
  readonly request: BreakGlassRequest;
  readonly profile: SliceBreakGlass;
  /** Names of those who approved, and the ids of the keys that they did it with. */
  readonly approvers: readonly string[];
  readonly keys: readonly string[];
}

/** Throws BREAK_GLASS_*. What fails to verify is never parsed. */
export async function verifyTicket(text: string, expectation: TicketExpectation): Promise<VerifiedTicket> {
  const { request, signers } = await readSigned(text, expectation.profiles);
  const profile = profileOf(request, expectation);
  const approvers = approversOf(request, profile, signers);
  checkScope(request, profile);
  checkTime(request, expectation.time);
  return { request, profile, approvers, keys: signers } as unknown as VerifiedTicket;
}

/** The one request under all signatures, with the ids of the keys that made them. */
async function readSigned(
  text: string,
  profiles: readonly SliceBreakGlass[],
): Promise<{ request: BreakGlassRequest; signers: string[] }> {
  const keys = profiles.flatMap(({ approvers }) => approvers.map(({ key }) => key));
  const signers: string[] = [];
  let payload: Buffer | undefined;
  for (const approval of approvalsIn(text)) {
    const one = await verifyApproval(approval, keys);
    payload ??= Buffer.from(one.payload);
    if (!payload.equals(one.payload)) throw malformed('the approvals are of different requests');
    signers.push(one.keyId);
  }
  return { request: parseRequest(payload ?? Buffer.alloc(0)), signers };
}

async function verifyApproval(approval: string, keys: readonly SliceBreakGlass['approvers'][number]['key'][]) {
  try {
    return await verifyJws(approval, { typ: ticketType, keys });
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    throw breakGlassErrors.error('BREAK_GLASS_SIGNATURE', `an approval of the ticket: ${cause.message}`, { cause });
  }
}

function profileOf(
  { trustDomain, device, profile: name }: BreakGlassRequest,
  expectation: TicketExpectation,
): SliceBreakGlass {
  if (trustDomain !== expectation.trustDomain || device !== expectation.device) {
    throw scope(`the ticket is for ${device} of ${trustDomain}, this is ${expectation.device}`);
  }
  const profile = expectation.profiles.find((entry) => entry.id === name && entry.device === device);
  if (profile === undefined) throw scope(`the policy in force has no break-glass profile ${name} for ${device}`);
  return profile;
}

/** Different people with different keys, all of this profile, none of them the one who asks. */
function approversOf(
  { requestedBy }: BreakGlassRequest,
  { id: name, approvers, approvals }: SliceBreakGlass,
  signers: readonly string[],
): string[] {
  const nameOf = new Map(approvers.map((approver) => [keyId(approver.key), approver.name]));
  const names = signers.map((signer) => nameOf.get(signer));
  const known = names.filter((signer) => signer !== undefined);
  if (known.length < names.length) {
    throw breakGlassErrors.error('BREAK_GLASS_SIGNATURE', `somebody who is no approver of ${name} signed the ticket`);
  }
  if (known.includes(requestedBy)) throw tooFew(`${requestedBy} asks for it and approved it`);
  if (new Set(known).size < known.length || new Set(signers).size < signers.length) {
    throw tooFew('somebody approved it twice');
  }
  if (known.length < approvals) throw tooFew(`${name} needs ${approvals} approvals, the ticket has ${known.length}`);
  return known;
}

function checkScope(request: BreakGlassRequest, profile: SliceBreakGlass): void {
  const { id: name } = profile;
  if (request.generation !== profile.generation) {
    throw scope(`generation ${request.generation} of ${name}, in force is ${profile.generation}`);
  }
  if (!profile.subjects.includes(request.subject)) throw scope(`${name} opens nothing to ${request.subject}`);
  const more = request.operations.filter((operation) => !profile.operations.includes(operation));
  if (more.length > 0) throw scope(`${name} does not open ${more.join(', ')}`);
  if (request.minutes > profile.maxMinutes) {
    throw scope(`${request.minutes} minutes, ${name} opens for at most ${profile.maxMinutes}`);
  }
}

/**
 * After a cold boot without signed time the time is at least `now`, which passes a ticket that is over; the true time may be
 * any later one, so its start cannot be judged, and two people have signed it.
 */
function checkTime(
  { notBefore, notAfter }: BreakGlassRequest,
  { now, trusted }: { readonly now: number; readonly trusted: boolean },
): void {
  if (!(now < notAfter)) throw when(`the ticket ended ${new Date(notAfter).toISOString()}`);
  if (trusted && notBefore > now + maxAheadMs) throw when(`the ticket begins ${new Date(notBefore).toISOString()}`);
}

const scope = (message: string): CodedError => breakGlassErrors.error('BREAK_GLASS_SCOPE', message);
const tooFew = (message: string): CodedError => breakGlassErrors.error('BREAK_GLASS_APPROVALS', message);
const when = (message: string): CodedError => breakGlassErrors.error('BREAK_GLASS_WHEN', message);
