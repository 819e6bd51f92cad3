// CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds torn and rotten frames. Against people there is the hash chain.
const polynomial = 0x82f63b78;

// Slicing by four: table[k][b] is the checksum of byte b followed by k zero bytes.
const tables = Array.from({ length: 4 }, () => new Int32Array(256));
for (let byte = 0; byte < 256; byte += 1) {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  table(0)[byte] = value;
}
for (let byte = 0; byte < 256; byte += 1) {
  for (let k = 1; k < 4; k += 1) {
    const previous = table(k - 1)[byte] as number;
    table(k)[byte] = (previous >>> 8) ^ (table(0)[previous & 0xff] as number);
  }
}

function table(k: number): Int32Array {
  return tables[k] as Int32Array;
}

/** Unsigned 32-bit checksum of `bytes`. */
export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];
  let crc = ~0;
  let at = 0;
  for (const whole = bytes.length - (bytes.length % 4); at < whole; at += 4) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (t3[crc & 0xff] as number) ^
      (t2[(crc >>> 8) & 0xff] as number) ^
      (t1[(crc >>> 16) & 0xff] as number) ^
      (t0[crc >>> 24] as number);
  }
  for (; at < bytes.length; at += 1) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
