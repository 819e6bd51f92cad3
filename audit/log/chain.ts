// The hash chain of one device and epoch (proto/edgeward/audit/v1/ingest.proto, message Record):
// value(0) = SHA-256("edgeward-chain-v1" || epoch), value(n) = SHA-256(0x02 || value(n-1) || u64 n || payload).
// 0x02 keeps chain inputs apart from RFC 6962 leaves (0x00) and nodes (0x01).
import { sha256 } from './sha256.ts';

export const epochBytes = 16;
export const chainBytes = 32;

const genesisLabel = Buffer.from('edgeward-chain-v1', 'utf8');

/** The value before sequence 1. */
export function chainStart(epoch: Uint8Array): Buffer {
  if (epoch.length !== epochBytes) throw new RangeError(`an epoch has ${epochBytes} bytes, not ${epoch.length}`);
  return sha256(Buffer.concat([genesisLabel, epoch]));
}

export function chainNext(previous: Uint8Array, sequence: number, payload: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + chainBytes + 8 + payload.length);
  input[0] = 0x02;
  input.set(previous, 1);
  input.writeBigUInt64BE(BigInt(sequence), 1 + chainBytes);
  input.set(payload, 1 + chainBytes + 8);
  return sha256(input);
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && Buffer.compare(left, right) === 0;
}
