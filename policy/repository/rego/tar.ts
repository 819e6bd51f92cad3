// One file of the tar archive that opa writes (POSIX.1-1988 ustar: blocks of 512 bytes, sizes in octal).
const block = 512;

/** The content, or undefined when the archive has no such file. */
export function fileOfTar(archive: Uint8Array, path: string): Uint8Array | undefined {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  for (let at = 0; at + block <= bytes.length && bytes[at] !== 0;) {
    const name = fieldOf(bytes, at, 100);
    const size = Number.parseInt(fieldOf(bytes, at + 124, 12), 8);
    const start = at + block;
    if (!(size >= 0) || start + size > bytes.length) return undefined;
    if (name === path) return bytes.subarray(start, start + size);
    at = start + Math.ceil(size / block) * block;
  }
  return undefined;
}

function fieldOf(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end).trim();
}
