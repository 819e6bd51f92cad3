// The canonical leaf of the cloud's Merkle log. RFC 6962 section 2.1 hashes it as SHA-256(0x00 || leaf):
//   u8   version, 1
//   u16  length of the device id, then the id in UTF-8
//   16 B epoch
//   u64  sequence in that epoch, big-endian as all numbers here
//   u64  time of receipt, milliseconds since 1970
//   32 B chain value
//   32 B SHA-256 of the payload, so that a payload can be destroyed without breaking the proof of the others
import { chainBytes, epochBytes } from './chain.ts';
import { sha256 } from './sha256.ts';

export const leafVersion = 1;

export interface Leaf {
  readonly deviceId: string;
  readonly epoch: Uint8Array;
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly chain: Uint8Array;
  readonly payload: Uint8Array;
}

export function leafHash(leaf: Leaf): Buffer {
  const id = Buffer.from(leaf.deviceId, 'utf8');
  const input = Buffer.allocUnsafe(1 + 1 + 2 + id.length + epochBytes + 8 + 8 + chainBytes + 32);
  input[0] = 0x00;
  input[1] = leafVersion;
  let at = input.writeUInt16BE(id.length, 2);
  input.set(id, at);
  at += id.length;
  input.set(exactly(leaf.epoch, epochBytes), at);
  at = input.writeBigUInt64BE(BigInt(leaf.sequence), at + epochBytes);
  at = input.writeBigUInt64BE(BigInt(leaf.receivedAtMs), at);
  input.set(exactly(leaf.chain, chainBytes), at);
  input.set(sha256(leaf.payload), at + chainBytes);
  return sha256(input);
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`expected ${length} bytes, got ${bytes.length}`);
  return bytes;
}
