// Signed chain heads, checked from the pinned roots up: certificate chain, name, signature, content.
import { parseCertificate, verifyChain, verifyJws } from '../../identity/index.ts';
import type { ExportedHead } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { auditErrors } from '../errors.ts';
import { decodeHead, headType } from '../log/head.ts';

export interface TrustedHead {
  readonly deviceId: string;
  /** Hex. */
  readonly epoch: string;
  readonly sequence: number;
  readonly chain: Buffer;
}

/** Throws with the reason when the head cannot be trusted. */
export async function trustHead(
  head: ExportedHead,
  trustDomain: string,
  roots: readonly Uint8Array[],
): Promise<TrustedHead> {
  const [leaf, ...intermediates] = splitCertificates(head.certificateDer);
  if (leaf === undefined) throw invalid('it comes without a certificate');
  // Evidence outlives certificates: whether it was valid on arrival, the TLS listener decided. Revocation is no reason
  // to disbelieve what was signed before.
  const { notBefore } = parseCertificate(leaf);
  const { id, publicKey } = verifyChain(leaf, intermediates, roots, { now: notBefore, trustDomain });
  if (id.kind !== 'device' || id.name !== head.deviceId) throw invalid(`it is signed by ${id.uri}`);
  const { payload } = await verifyJws(head.jws, { typ: headType, keys: [publicKey] });
  const said = decodeHead(payload);
  if (said === undefined) throw invalid('it says no epoch, sequence, chain and time');
  const epoch = Buffer.from(head.epoch).toString('hex');
  if (said.epoch !== epoch || BigInt(said.sequence) !== head.sequence) {
    throw invalid(`it was signed for epoch ${said.epoch}, sequence ${said.sequence}`);
  }
  return { deviceId: head.deviceId, epoch, sequence: said.sequence, chain: Buffer.from(said.chain, 'hex') };
}

function invalid(reason: string): Error {
  return auditErrors.error('AUDIT_HEAD_INVALID', `the chain head is refused: ${reason}`);
}

/** DER values that stand one behind the other: each is a SEQUENCE with a length of two bytes (X.690 section 8.1.3). */
export function splitCertificates(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== 0x30 || bytes[at + 1] !== 0x82) throw invalid('its certificates are not DER');
    const end = at + 4 + ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0);
    if (end > bytes.length) throw invalid('its certificates are cut short');
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
}
