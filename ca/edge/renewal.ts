// Renewal, the device's side: when, with which request, and what is accepted as the answer.
import { createHash } from 'node:crypto';
import { type Certificate, createCsr } from '../../identity/index.ts';
import type { EnrollResponse } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { Clock } from '../../runtime/clock.ts';
import { limits } from '../limits.ts';
import { invalidAnswer, verifyAnswer } from './answer.ts';
import {
  type DeviceIdentity,
  loadIdentity,
  renewalKey,
  type StateDirectory,
  storeNextChain,
} from './identity-directory.ts';

/**
 * When a certificate is to be renewed: half-life, spread by up to a tenth of it to either side so that a fleet enrolled
 * in one hour does not renew in one hour. The spread hangs on the certificate alone, so every caller gets the same time.
 */
export function renewalTime(leaf: Pick<Certificate, 'notBefore' | 'notAfter' | 'raw'>): number {
  const halfLife = (leaf.notAfter - leaf.notBefore) / 2;
  const spread = createHash('sha256').update(leaf.raw).digest().readUInt32BE(0) / 0xffff_ffff;
  return Math.round(leaf.notBefore + halfLife * (1 + limits.renewalJitter * (2 * spread - 1)));
}

export function renewalDue(identity: Pick<DeviceIdentity, 'leaf'>, now: number): boolean {
  return now >= renewalTime(identity.leaf);
}

/** The request for the next certificate. Its key is durable before this resolves, and the same when called again. */
export async function prepareRenewal(state: StateDirectory): Promise<{ csrDer: Buffer }> {
  return { csrDer: createCsr(await renewalKey(state)) };
}

/**
 * Stores the answer to `prepareRenewal` and returns the identity that counts from now on: after a crash the device has
 * the old pair or the new one. The anchors in the answer are not looked at; they change by their own signed message.
 * Errors: CA_ANSWER_INVALID, IDENTITY_EXPIRED, IDENTITY_NOT_YET_VALID, CA_IDENTITY_*.
 */
export async function saveRenewed(
  state: StateDirectory,
  response: EnrollResponse,
  clock: Clock,
): Promise<DeviceIdentity> {
  const current = await loadIdentity(state);
  const { publicKey } = await renewalKey(state);
  const { id, chain } = verifyAnswer(response, {
    publicKey,
    trustDomain: current.id.trustDomain,
    roots: current.anchors.roots,
    now: clock.now(),
  });
  if (id.uri !== current.id.uri)
    throw invalidAnswer(`the certificate is for ${id.uri}, this device is ${current.id.uri}`);
  await storeNextChain(state, chain);
  return await loadIdentity(state);
}
