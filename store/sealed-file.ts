// Small files that must be whole or absent: written durably, and for keys sealed with a passphrase
// (scrypt, RFC 7914; AES-256-GCM, NIST SP 800-38D). Layout: magic 8, salt 16, nonce 12, tag 16, ciphertext.
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { dirname } from 'node:path';
import { isErrno, privateFileMode, type FileSystem } from './files.ts';
import { storeErrors } from './errors.ts';
import { scryptCost, sealedFileBytes } from './limits.ts';

const magic = Buffer.from('EWSEAL1\n', 'latin1');
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;
const headerBytes = magic.length + saltBytes + nonceBytes + tagBytes;

/**
 * Replaces `path` with `bytes`: after a crash it holds the old content or the new, never a part. Resolves when the new
 * content is durable. The temporary file is `path` + `.new`; one left by a crash is overwritten.
 */
export async function writeDurably(
  fs: FileSystem,
  path: string,
  bytes: Uint8Array,
  mode: number = privateFileMode,
): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await removeIfThere(fs, temporary);
    const file = await fs.open(temporary, 'create', mode);
    try {
      await file.append(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    fs.point?.('written');
    await fs.rename(temporary, path);
    fs.point?.('renamed');
    await fs.syncDirectory(dirname(path));
  } catch (error) {
    // A full disk must not stay full of our temporary file.
    await removeIfThere(fs, temporary).catch(() => undefined);
    throw storeFault(error, `cannot write ${path}`);
  }
}

async function removeIfThere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** Coded form of an errno error; other errors (a bug, a simulated power cut) pass unchanged. */
export function storeFault(error: unknown, message: string): unknown {
  if (!(error instanceof Error) || !('syscall' in error || 'errno' in error || 'path' in error)) return error;
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT')) {
    return storeErrors.error('FILE_SYSTEM_FULL', `${message}: the disk is full`, { cause: error });
  }
  if (isErrno(error, 'ENOENT')) return storeErrors.error('FILE_MISSING', `${message}: no such file`, { cause: error });
  return storeErrors.error('FILE_SYSTEM_FAILED', `${message}: ${error.message}`, { cause: error });
}

/** Reads a file that nobody else may read: refuses links, and files with any right for group or others. */
export async function readPrivate(fs: FileSystem, path: string, maxBytes: number): Promise<Buffer> {
  try {
    const info = await fs.stat(path);
    if (info !== undefined && info.kind !== 'file') {
      throw storeErrors.error('FILE_EXPOSED', `${path} is not a regular file`);
    }
    if (info !== undefined && (info.mode & 0o077) !== 0) {
      const mode = info.mode.toString(8).padStart(4, '0');
      throw storeErrors.error('FILE_EXPOSED', `${path} has mode ${mode}; group and others must have no right`);
    }
    return await fs.readFile(path, maxBytes);
  } catch (error) {
    throw storeFault(error, `cannot read ${path}`);
  }
}

/** Seals `plaintext` with `passphrase` and writes it durably with mode 0600. */
export async function writeSealed(
  fs: FileSystem,
  path: string,
  plaintext: Uint8Array,
  passphrase: string,
): Promise<void> {
  if (plaintext.length > sealedFileBytes) throw new RangeError(`sealed files hold at most ${sealedFileBytes} bytes`);
  if (passphrase === '') throw storeErrors.error('SEALED_FILE_LOCKED', `${path}: the passphrase is empty`);
  const salt = randomBytes(saltBytes);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', await deriveKey(passphrase, salt), nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.concat([magic, salt]));
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  await writeDurably(fs, path, Buffer.concat([magic, salt, nonce, cipher.getAuthTag(), sealed]), privateFileMode);
}

export async function readSealed(fs: FileSystem, path: string, passphrase: string): Promise<Buffer> {
  const bytes = await readPrivate(fs, path, headerBytes + sealedFileBytes);
  if (bytes.length < headerBytes || !bytes.subarray(0, magic.length).equals(magic)) {
    throw storeErrors.error('SEALED_FILE_INVALID', `${path} is not a sealed file, or is cut short`);
  }
  const salt = bytes.subarray(magic.length, magic.length + saltBytes);
  const nonce = bytes.subarray(magic.length + saltBytes, headerBytes - tagBytes);
  const tag = bytes.subarray(headerBytes - tagBytes, headerBytes);
  const decipher = createDecipheriv('aes-256-gcm', await deriveKey(passphrase, salt), nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.concat([magic, salt]));
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(bytes.subarray(headerBytes));
  try {
    decipher.final();
  } catch (cause) {
    // GCM cannot tell the two apart.
    throw storeErrors.error('SEALED_FILE_LOCKED', `${path}: wrong passphrase, or the file was altered`, { cause });
  }
  return plaintext;
}

function deriveKey(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // NFKC, so that the same passphrase typed on another system has the same bytes.
    scrypt(passphrase.normalize('NFKC'), salt, 32, scryptCost, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
