// The device's identity on its disk: <state>/identity/{key.pem, chain.pem, anchors.json}, all 0600. A key and its chain
// are two files; a change of both is committed by `next-chain.pem`, and whoever reads next finishes what a crash cut:
//   next-key.pem   a key that was or will be sent in a request; becomes key.pem
//   next-chain.pem the answer to it; once durable the new pair counts; becomes chain.pem
//   pending-<token>.pem  the key of an enrolment with that token, kept until its answer is stored
import { join } from 'node:path';
import {
  type Certificate,
  certificatesFromPem,
  certificatesToPem,
  exportPkcs8Pem,
  generateKey,
  importPkcs8Pem,
  type KeyPair,
  parseCertificate,
  type ParsedTrustAnchors,
  type SpiffeId,
  trustAnchorsFromJson,
  trustAnchorsToJson,
  verifyChain,
} from '../../identity/index.ts';
import type { FileSystem } from '../../store/files.ts';
import { readPrivate, writeDurably } from '../../store/sealed-file.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';

export interface DeviceIdentity {
  readonly id: SpiffeId;
  readonly keys: KeyPair;
  readonly leaf: Certificate;
  /** Leaf first, then the intermediates. DER. */
  readonly chain: readonly Buffer[];
  readonly anchors: ParsedTrustAnchors;
}

/** Where the identity is kept. */
export interface StateDirectory {
  readonly fs: FileSystem;
  /** For example /var/lib/edgeward. */
  readonly path: string;
}

const file = {
  key: 'key.pem',
  chain: 'chain.pem',
  anchors: 'anchors.json',
  nextKey: 'next-key.pem',
  nextChain: 'next-chain.pem',
} as const;

const pendingPattern = /^pending-[0-9a-f]+\.pem(\.new)?$/;

function pathOf(state: StateDirectory, name: string): string {
  return join(state.path, 'identity', name);
}

/**
 * The identity, after finishing an interrupted change. Its validity in time is not judged: an edge starts without a
 * network and with an expired certificate too.
 * Errors: CA_IDENTITY_ABSENT, CA_IDENTITY_BROKEN, FILE_EXPOSED.
 */
export async function loadIdentity(state: StateDirectory): Promise<DeviceIdentity> {
  const found = await findIdentity(state);
  if (found === undefined) {
    throw caErrors.error('CA_IDENTITY_ABSENT', `there is no identity in ${join(state.path, 'identity')}`);
  }
  return found;
}

/** Like `loadIdentity`, undefined when the device was never enrolled. */
export async function findIdentity(state: StateDirectory): Promise<DeviceIdentity | undefined> {
  const pair = await choosePair(state);
  if (pair === undefined) return undefined;
  const anchors = await readAnchors(state);
  const identity = await checked(() => identityOf(pair, anchors));
  await settle(state, pair);
  return identity;
}

/** Whether this device was enrolled, even if what is there cannot be used any more. */
export async function isEnrolled(state: StateDirectory): Promise<boolean> {
  for (const name of [file.chain, file.nextChain]) {
    if ((await state.fs.stat(pathOf(state, name))) !== undefined) return true;
  }
  return false;
}

interface Pair {
  readonly keys: KeyPair;
  readonly chain: readonly Buffer[];
  readonly keyFile: string;
  readonly chainFile: string;
}

/** The newest chain whose key is there; undefined on a device that never had one. */
async function choosePair(state: StateDirectory): Promise<Pair | undefined> {
  const keys = await Promise.all(
    [file.nextKey, file.key].map(async (name) => ({ name, keys: await readKey(state, name) })),
  );
  let found = keys.some(({ name, keys: kept }) => name === file.key && kept !== undefined);
  for (const chainFile of [file.nextChain, file.chain]) {
    const chain = await readChain(state, chainFile);
    const leaf = chain?.[0];
    if (chain === undefined || leaf === undefined) continue;
    found = true;
    const { publicKey } = await checked(() => parseCertificate(leaf));
    const owner = keys.find((candidate) => candidate.keys?.publicKey.equals(publicKey) === true);
    if (owner?.keys !== undefined) return { keys: owner.keys, chain, keyFile: owner.name, chainFile };
  }
  if (found) throw broken('no certificate belongs to a key that is here');
  return undefined;
}

/** Puts the chosen pair under its lasting names, each rename durable before the next. */
async function settle(state: StateDirectory, pair: Pair): Promise<void> {
  if (pair.keyFile !== file.key) await move(state, pair.keyFile, file.key);
  if (pair.chainFile !== file.chain) await move(state, pair.chainFile, file.chain);
  await removePending(state);
}

async function move(state: StateDirectory, from: string, to: string): Promise<void> {
  await state.fs.rename(pathOf(state, from), pathOf(state, to));
  state.fs.point?.(`moved ${to}`);
  await state.fs.syncDirectory(join(state.path, 'identity'));
}

function identityOf(pair: Pair, anchors: ParsedTrustAnchors): DeviceIdentity {
  const [leafDer, ...intermediates] = pair.chain;
  if (leafDer === undefined) throw broken('the chain is empty');
  const leaf = parseCertificate(leafDer);
  const { id } = verifyChain(leafDer, intermediates, anchors.roots, {
    now: leaf.notAfter,
    trustDomain: anchors.trustDomain,
  });
  if (id.kind !== 'device') throw broken('the certificate is not that of a device');
  return { id, keys: pair.keys, leaf, chain: pair.chain, anchors };
}

// ---- writing -----------------------------------------------------------------------------------------------------

/** Stores the pair of a first enrolment: anchors first, so that a chain never stands without what verifies it. */
export async function storeEnrolled(
  state: StateDirectory,
  keys: KeyPair,
  chain: readonly Buffer[],
  anchors: ParsedTrustAnchors,
): Promise<void> {
  await saveAnchors(state, anchors);
  await writeDurably(state.fs, pathOf(state, file.nextKey), Buffer.from(exportPkcs8Pem(keys.privateKey)));
  await storeNextChain(state, chain);
}

/** The commit point: after this the new pair counts. */
export async function storeNextChain(state: StateDirectory, chain: readonly Buffer[]): Promise<void> {
  await writeDurably(state.fs, pathOf(state, file.nextChain), Buffer.from(certificatesToPem(chain)));
}

/** Replaces the pinned anchors, after the caller has verified them. Another trust domain is refused by `loadIdentity`. */
export async function saveAnchors(state: StateDirectory, anchors: ParsedTrustAnchors): Promise<void> {
  await writeDurably(state.fs, pathOf(state, file.anchors), Buffer.from(trustAnchorsToJson(anchors)));
}

/** The key for an enrolment with this token: durable before anything is sent, the same one when it is tried again. */
export async function enrolmentKey(state: StateDirectory, tokenId: string): Promise<KeyPair> {
  await state.fs.mkdir(join(state.path, 'identity'));
  return await keyIn(state, `pending-${tokenId}.pem`);
}

/** The key for the next certificate: durable before anything is sent, the same one when it is tried again. */
export async function renewalKey(state: StateDirectory): Promise<KeyPair> {
  return await keyIn(state, file.nextKey);
}

/** Forgets the key of a renewal that was refused for good. */
export async function abandonRenewal(state: StateDirectory): Promise<void> {
  await removeIfThere(state, file.nextKey);
}

async function keyIn(state: StateDirectory, name: string): Promise<KeyPair> {
  const kept = await readKey(state, name);
  if (kept !== undefined) return kept;
  const keys = generateKey();
  await writeDurably(state.fs, pathOf(state, name), Buffer.from(exportPkcs8Pem(keys.privateKey)));
  return keys;
}

async function removePending(state: StateDirectory): Promise<void> {
  const names = await state.fs.list(join(state.path, 'identity'));
  for (const name of names.filter((candidate) => pendingPattern.test(candidate))) await removeIfThere(state, name);
}

async function removeIfThere(state: StateDirectory, name: string): Promise<void> {
  if ((await state.fs.stat(pathOf(state, name))) !== undefined) await state.fs.unlink(pathOf(state, name));
}

// ---- reading -----------------------------------------------------------------------------------------------------

async function readKey(state: StateDirectory, name: string): Promise<KeyPair | undefined> {
  const text = await readText(state, name);
  return text === undefined ? undefined : await checked(() => importPkcs8Pem(text));
}

async function readChain(state: StateDirectory, name: string): Promise<Buffer[] | undefined> {
  const text = await readText(state, name);
  return text === undefined ? undefined : await checked(() => certificatesFromPem(text, limits.chainMaxCertificates));
}

async function readAnchors(state: StateDirectory): Promise<ParsedTrustAnchors> {
  const text = await readText(state, file.anchors);
  if (text === undefined) throw broken('the trust anchors are missing');
  return await checked(() => trustAnchorsFromJson(text));
}

async function readText(state: StateDirectory, name: string): Promise<string | undefined> {
  const path = pathOf(state, name);
  if ((await state.fs.stat(path)) === undefined) return undefined;
  return (await readPrivate(state.fs, path, limits.identityFileMaxBytes)).toString('utf8');
}

async function checked<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (cause) {
    throw broken(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function broken(why: string, cause?: unknown): Error {
  return caErrors.error('CA_IDENTITY_BROKEN', `the device’s identity cannot be used: ${why}`, { cause });
}
