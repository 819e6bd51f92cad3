// Userdata: what libnftables keeps with tables, sets and elements for the reader of `nft list`, and the kernel does not look
// at (libnftnl/udata.h).

/** Of an element. */
export const USERDATA_COMMENT = 0;
export const USERDATA_ELEMENT_FLAGS = 1;
export const ELEMENT_OPEN_ENDED = 1;
export const USERDATA_SET = { keyByteOrder: 0, dataByteOrder: 1, keyTypeOf: 3, dataInterval: 6, comment: 7 } as const;

/** Entries of one byte type, one byte length, value. */
export function userdata(...entries: readonly (readonly [number, Uint8Array])[]): Buffer {
  return Buffer.concat(entries.flatMap(([type, value]) => [Buffer.of(type, value.length), value]));
}

export const zeroEnded = (text: string): Buffer => Buffer.from(`${text}\0`);
