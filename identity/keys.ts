// P-256 keys: making, PKCS#8 files that nobody else can read, JWK (RFC 7517) and key ids (RFC 7638).
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { identityError } from './errors.ts';
import { MAX_KEY_FILE_BYTES } from './limits.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Public P-256 key as JWK; x and y are base64url of exactly 32 bytes. */
export interface PublicJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

export function generateKey(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

export function exportPkcs8Pem(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The key pair in a PKCS#8 PEM text; anything but an unencrypted P-256 key is refused. */
export function importPkcs8Pem(pem: string): KeyPair {
  if (!pem.startsWith('-----BEGIN PRIVATE KEY-----\n')) {
    throw identityError('IDENTITY_KEY_INVALID', 'the text is not a PKCS#8 PEM private key');
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: pem, format: 'pem', type: 'pkcs8' });
  } catch (cause) {
    throw identityError('IDENTITY_KEY_INVALID', 'the PKCS#8 private key cannot be read', { cause });
  }
  requireP256(privateKey);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Opens a file for reading; a parameter so that tests bring their own. */
export type OpenFile = (path: string) => Promise<FileHandle>;

/**
 * Reads a private key from a file. Mode and contents come from one open handle, so the file that was checked is the
 * file that was read. Any permission of group or others is refused.
 */
export async function loadPrivateKey(path: string, openFile: OpenFile = (name) => open(name, 'r')): Promise<KeyPair> {
  let handle: FileHandle;
  try {
    handle = await openFile(path);
  } catch (cause) {
    throw identityError('IDENTITY_KEY_FILE_UNREADABLE', 'the key file cannot be opened', {
      place: { file: path },
      cause,
    });
  }
  try {
    const status = await handle.stat();
    if (!status.isFile())
      throw identityError('IDENTITY_KEY_FILE_UNREADABLE', 'not a regular file', { place: { file: path } });
    if ((status.mode & 0o077) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
      throw identityError('IDENTITY_KEY_FILE_EXPOSED', `mode ${mode} lets others at the private key`, {
        place: { file: path },
      });
    }
    if (status.size > MAX_KEY_FILE_BYTES)
      throw identityError('IDENTITY_TOO_LARGE', 'the key file is too large', { place: { file: path } });
    return importPkcs8Pem(await handle.readFile('utf8'));
  } finally {
    await handle.close();
  }
}

export function requireP256(key: KeyObject): void {
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw identityError('IDENTITY_KEY_UNSUPPORTED', `key of type ${key.asymmetricKeyType ?? key.type} refused`);
  }
}

/** Public JWK with the four members of RFC 7638 alone. Takes a public or a private key. */
export function jwkOf(key: KeyObject): PublicJwk {
  requireP256(key);
  const { x, y } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  if (x === undefined || y === undefined) throw identityError('IDENTITY_KEY_INVALID', 'the key has no coordinates');
  return { kty: 'EC', crv: 'P-256', x, y };
}

const coordinate = /^[A-Za-z0-9_-]{43}$/;

/** Public key of a JWK; a point off the curve and any other kind of key are refused. Further members are ignored. */
export function publicKeyFromJwk(jwk: unknown): KeyObject {
  const { kty, crv, x, y, d } = (typeof jwk === 'object' && jwk !== null ? jwk : {}) as Record<string, unknown>;
  if (d !== undefined) throw identityError('IDENTITY_KEY_INVALID', 'a private key stands where a public key belongs');
  if (kty !== 'EC' || crv !== 'P-256')
    throw identityError('IDENTITY_KEY_UNSUPPORTED', 'the JWK is not an EC key on P-256');
  if (typeof x !== 'string' || typeof y !== 'string' || !coordinate.test(x) || !coordinate.test(y)) {
    throw identityError('IDENTITY_KEY_INVALID', 'the coordinates of the JWK are not 32 bytes of base64url');
  }
  try {
    return createPublicKey({ format: 'jwk', key: { kty, crv, x, y } });
  } catch (cause) {
    throw identityError('IDENTITY_KEY_INVALID', 'the JWK is no point of P-256', { cause });
  }
}

/** RFC 7638 thumbprint (SHA-256, base64url) of a public or private P-256 key or of its JWK. */
export function keyId(key: KeyObject | PublicJwk): string {
  const { crv, kty, x, y } = 'export' in key ? jwkOf(key) : key;
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}
