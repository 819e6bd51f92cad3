// Signed notes and checkpoints of the transparency log: c2sp.org/signed-note and c2sp.org/tlog-checkpoint, Ed25519.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { identityError } from './errors.ts';
import { MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES } from './limits.ts';

const ED25519 = 0x01;
const KEY_BYTES = 32;

export interface NoteSigner {
  /** Name of the key, e.g. `plant.example/audit`. */
  readonly name: string;
  /** Private Ed25519 key. */
  readonly key: KeyObject;
}

export interface NoteVerifier {
  readonly name: string;
  /** First four bytes of SHA-256(name, newline, algorithm, key). */
  readonly keyHash: number;
  readonly key: KeyObject;
}

export interface VerifiedNote {
  /** Ends with a newline. */
  readonly text: string;
  /** Names of the verifiers whose signatures hold; at least one. */
  readonly signedBy: readonly string[];
}

function invalid(reason: string): Error {
  return identityError('IDENTITY_NOTE_INVALID', `note refused: ${reason}`);
}

export function generateNoteKey(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ed25519');
}

function rawPublicKey(key: KeyObject): Buffer {
  const { crv, x } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  if (crv !== 'Ed25519' || x === undefined)
    throw identityError('IDENTITY_KEY_UNSUPPORTED', 'notes are signed with Ed25519');
  return Buffer.from(x, 'base64url');
}

function checkName(name: string): void {
  // Neither spaces nor plus, neither control characters: the name stands alone in a line and in a verifier key.
  if (name.length === 0 || name.length > 255 || /[\s+\p{Cc}]/u.test(name))
    throw invalid('the name of a key has a character that it may not have');
}

function keyHashOf(name: string, rawKey: Buffer): number {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.from([ED25519]))
    .update(rawKey)
    .digest()
    .readUInt32BE(0);
}

/** Verifier key `name+hash+base64`, from a public or private Ed25519 key. */
export function formatVerifierKey(name: string, key: KeyObject): string {
  checkName(name);
  const raw = rawPublicKey(key);
  const hash = keyHashOf(name, raw).toString(16).padStart(8, '0');
  return `${name}+${hash}+${Buffer.concat([Buffer.from([ED25519]), raw]).toString('base64')}`;
}

export function parseVerifierKey(text: string): NoteVerifier {
  const [, name, hash, encoded] = /^([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  if (name === undefined || hash === undefined || encoded === undefined)
    throw invalid('the verifier key is not name+hash+base64');
  checkName(name);
  const bytes = decodeBase64(encoded);
  if (bytes.length !== 1 + KEY_BYTES || bytes[0] !== ED25519) throw invalid('the verifier key is not an Ed25519 key');
  const raw = bytes.subarray(1);
  const keyHash = keyHashOf(name, raw);
  if (keyHash !== Number.parseInt(hash, 16)) throw invalid('the hash in the verifier key is not that of its key');
  const key = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') } });
  return { name, keyHash, key };
}

function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw invalid('base64 is not canonical');
  return bytes;
}

function checkText(text: string): void {
  if (!text.endsWith('\n')) throw invalid('the text does not end with a newline');
  if (/[\p{Cc}]/u.test(text.replaceAll('\n', '')) || !text.isWellFormed())
    throw invalid('the text has control characters');
}

/** Signs a text that ends with a newline; one signature line for each signer. */
export function signNote(text: string, ...signers: readonly NoteSigner[]): string {
  checkText(text);
  const lines = signers.map(({ name, key }) => {
    checkName(name);
    const hash = Buffer.alloc(4);
    hash.writeUInt32BE(keyHashOf(name, rawPublicKey(key)));
    return `— ${name} ${Buffer.concat([hash, sign(null, Buffer.from(text, 'utf8'), key)]).toString('base64')}\n`;
  });
  return `${text}\n${lines.join('')}`;
}

/**
 * Verifies a note. Signatures by unknown keys are ignored; a signature that names a known key and does not hold refuses
 * the note, as does a note without one that holds.
 */
export function verifyNote(note: string, verifiers: readonly NoteVerifier[]): VerifiedNote {
  if (Buffer.byteLength(note, 'utf8') > MAX_NOTE_BYTES)
    throw identityError('IDENTITY_TOO_LARGE', 'the note is too large');
  const split = note.lastIndexOf('\n\n');
  if (split === -1) throw invalid('it has no signatures');
  const text = note.slice(0, split + 1);
  checkText(text);
  const rest = note.slice(split + 2);
  if (!rest.endsWith('\n')) throw invalid('the signatures do not end with a newline');
  const lines = rest.slice(0, -1).split('\n');
  if (lines.length > MAX_NOTE_SIGNATURES) throw invalid('it has too many signatures');
  const signedBy = new Set<string>();
  for (const line of lines) {
    const { name, keyHash, signature } = parseSignatureLine(line);
    const verifier = verifiers.find((candidate) => candidate.name === name && candidate.keyHash === keyHash);
    if (verifier === undefined) continue;
    if (!verify(null, Buffer.from(text, 'utf8'), verifier.key, signature)) {
      throw identityError('IDENTITY_NOTE_SIGNATURE_INVALID', `the signature of ${verifier.name} does not hold`);
    }
    signedBy.add(verifier.name);
  }
  if (signedBy.size === 0) throw identityError('IDENTITY_NOTE_SIGNATURE_INVALID', 'the note is signed by no known key');
  return { text, signedBy: [...signedBy] };
}

function parseSignatureLine(line: string): { name: string; keyHash: number; signature: Buffer } {
  const [, name, encoded] = /^— (\S+) ([A-Za-z0-9+/]+=*)$/u.exec(line) ?? [];
  if (name === undefined || encoded === undefined) throw invalid('a signature line is malformed');
  checkName(name);
  const bytes = decodeBase64(encoded);
  if (bytes.length < 5) throw invalid('a signature line is malformed');
  return { name, keyHash: bytes.readUInt32BE(0), signature: bytes.subarray(4) };
}
