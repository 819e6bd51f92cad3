// What an edge demands of a certificate before it stores it: our key, our trust domain, a chain to the pinned roots.
import type { KeyObject } from 'node:crypto';
import { type SpiffeId, verifyChain } from '../../identity/index.ts';
import type { EnrollResponse } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { CodedError } from '../../runtime/errors.ts';
import { caErrors } from '../errors.ts';

export interface Expected {
  readonly publicKey: KeyObject;
  readonly trustDomain: string;
  /** DER. */
  readonly roots: readonly Buffer[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface AnsweredChain {
  readonly id: SpiffeId;
  /** Leaf first, then the intermediates. */
  readonly chain: readonly Buffer[];
}

/** Errors: CA_ANSWER_INVALID; IDENTITY_EXPIRED and IDENTITY_NOT_YET_VALID, which mean this machine's clock. */
export function verifyAnswer(response: EnrollResponse, expected: Expected): AnsweredChain {
  const chain = response.certificateChainDer.map((der) => Buffer.from(der));
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) throw invalidAnswer('it holds no certificate');
  const { trustDomain, now } = expected;
  const svid = explain(() => verifyChain(leaf, intermediates, expected.roots, { now, trustDomain }));
  if (!svid.publicKey.equals(expected.publicKey)) throw invalidAnswer('the certificate is for another key');
  if (svid.id.kind !== 'device') throw invalidAnswer('the certificate is not that of a device');
  if (response.spiffeId !== svid.id.uri) throw invalidAnswer('the certificate has another name than the answer says');
  return { id: svid.id, chain };
}

export function invalidAnswer(why: string, cause?: unknown): CodedError {
  return caErrors.error('CA_ANSWER_INVALID', `the control plane’s answer is refused: ${why}`, { cause });
}

/** Faults of the clock keep their code, because the remedy is another one. */
export function isClockFault(error: unknown): error is CodedError {
  return error instanceof CodedError && (error.code === 'IDENTITY_EXPIRED' || error.code === 'IDENTITY_NOT_YET_VALID');
}

export function explain<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (isClockFault(error)) throw error;
    throw invalidAnswer(error instanceof Error ? error.message : String(error), error);
  }
}
