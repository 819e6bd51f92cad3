// Checkpoint of a log (c2sp.org/tlog-checkpoint): origin, size, root hash, carried as a signed note.
import { identityError } from './errors.ts';
import { type NoteSigner, type NoteVerifier, signNote, verifyNote } from './note.ts';

export interface Checkpoint {
  /** Name of the log, also the name of its key. */
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** SHA-256 Merkle root, 32 bytes. */
  readonly rootHash: Buffer;
  /** Further lines; opaque. */
  readonly extensions: readonly string[];
}

function invalid(reason: string): Error {
  return identityError('IDENTITY_NOTE_INVALID', `checkpoint refused: ${reason}`);
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, rootHash, extensions } = checkpoint;
  const lines = [origin, String(size), rootHash.toString('base64'), ...extensions];
  const text = lines.map((line) => `${line}\n`).join('');
  // What is written can be read: one definition of a well-formed checkpoint.
  parseCheckpoint(text);
  return text;
}

export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw invalid('the last line is cut short');
  const [origin, size, hash, ...extensions] = text.slice(0, -1).split('\n');
  if (origin === undefined || size === undefined || hash === undefined) throw invalid('it has fewer than three lines');
  if (origin === '' || extensions.includes('')) throw invalid('it has an empty line');
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw invalid('the size is not a decimal number');
  const rootHash = Buffer.from(hash, 'base64');
  if (rootHash.length !== 32 || rootHash.toString('base64') !== hash)
    throw invalid('the root hash is not base64 of 32 bytes');
  return { origin, size: Number(size), rootHash, extensions };
}

export function signCheckpoint(checkpoint: Checkpoint, ...signers: readonly NoteSigner[]): string {
  return signNote(formatCheckpoint(checkpoint), ...signers);
}

/** Verifies a signed checkpoint of the log that `log` is the key of; the origin has to be the key's name. */
export function verifyCheckpoint(note: string, log: NoteVerifier): Checkpoint {
  const checkpoint = parseCheckpoint(verifyNote(note, [log]).text);
  if (checkpoint.origin !== log.name) throw invalid('it is of another log');
  return checkpoint;
}
