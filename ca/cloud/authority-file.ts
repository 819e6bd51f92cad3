// The authority's keys in one sealed file (store/sealed-file.ts: scrypt, AES-256-GCM). No key is ever written in the
// clear. The root signs intermediates only, so its key can be moved to a sealed file of its own that is kept offline.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import {
  type Certificate,
  controlId,
  exportPkcs8Pem,
  importPkcs8Pem,
  parseCertificate,
  type RandomBytes,
  trustDomainId,
  verifyChain,
} from '../../identity/index.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { FileSystem } from '../../store/files.ts';
import { readSealed, writeSealed } from '../../store/sealed-file.ts';
import { caErrors } from '../errors.ts';
import {
  type Authority,
  authorityOf,
  type Credential,
  makeAuthority,
  requireRootKey,
  serverRenewalDue,
  withNewServer,
  withoutRootKey,
} from './authority.ts';

/** A sealed file and what opens it. */
export interface SealedPlace {
  readonly fs: FileSystem;
  readonly path: string;
  readonly passphrase: string;
}

export interface AuthorityFile extends SealedPlace {
  readonly clock: Clock;
  readonly random: RandomBytes;
}

/** Makes the authority of a trust domain and seals it. Refuses to replace a file: CA_AUTHORITY_EXISTS. */
export async function createAuthority(file: AuthorityFile, trustDomain: string): Promise<Authority> {
  trustDomainId(trustDomain);
  await refuseExisting(file);
  const authority = makeAuthority(trustDomain, file.clock, file.random);
  await sealAuthority(file, authority);
  return authority;
}

/**
 * Opens the key file and checks that its keys, certificates and names belong together. A server certificate past half
 * of its life is replaced, and the file sealed again, before this resolves.
 * Errors: SEALED_FILE_LOCKED, FILE_EXPOSED …; CA_AUTHORITY_INVALID; CA_AUTHORITY_EXPIRED.
 */
export async function openAuthority(file: AuthorityFile): Promise<Authority> {
  const authority = parseAuthority(await readSealed(file.fs, file.path, file.passphrase));
  const now = file.clock.now();
  const { intermediate } = authority;
  if (now < intermediate.certificate.notBefore || now > intermediate.certificate.notAfter) {
    const until = new Date(intermediate.certificate.notAfter).toISOString();
    throw caErrors.error('CA_AUTHORITY_EXPIRED', `the intermediate is not valid now; it ends ${until}`);
  }
  return await renewServerWhenDue(file, authority);
}

/** For a control plane that runs for long: the same authority, or one with a new, already sealed server certificate. */
export async function renewServerWhenDue(file: AuthorityFile, authority: Authority): Promise<Authority> {
  if (!serverRenewalDue(authority, file.clock.now())) return authority;
  const renewed = withNewServer(authority, file.clock, file.random);
  await sealAuthority(file, renewed);
  return renewed;
}

/**
 * Moves the root key out: first sealed at `offline`, read back and compared, only then taken from the key file; can be
 * repeated after a crash. Returns the authority without it. The offline file has a passphrase of its own.
 */
export async function moveRootKeyOffline(
  file: SealedPlace,
  authority: Authority,
  offline: SealedPlace,
): Promise<Authority> {
  const key = exportPkcs8Pem(requireRootKey(authority));
  if ((await offline.fs.stat(offline.path)) === undefined) {
    const root = { certificate: text(authority.root.certificate), key };
    const content = canonicalJson({ format: 1, trustDomain: authority.trustDomain, root });
    await writeSealed(offline.fs, offline.path, Buffer.from(content), offline.passphrase);
  }
  await openRootKey(offline, authority);
  const without = withoutRootKey(authority);
  await sealAuthority(file, without);
  return without;
}

/** The root key from offline custody, for as long as a ceremony needs it. */
export async function openRootKey(offline: SealedPlace, authority: Authority): Promise<KeyObject> {
  const wire = parseJson(await readSealed(offline.fs, offline.path, offline.passphrase), rootSchema);
  const key = importPkcs8Pem(wire.root.key).privateKey;
  if (wire.trustDomain !== authority.trustDomain || !isKeyOf(authority.root.certificate, key)) {
    throw invalid('the offline file holds the root key of another authority');
  }
  return key;
}

export async function sealAuthority(file: SealedPlace, authority: Authority): Promise<void> {
  const { root, intermediate, server } = authority;
  const wire: z.infer<typeof fileSchema> = {
    format: 1,
    trustDomain: authority.trustDomain,
    root: {
      certificate: text(root.certificate),
      ...(root.key === undefined ? {} : { key: exportPkcs8Pem(root.key) }),
    },
    intermediate: credentialText(intermediate),
    orders: exportPkcs8Pem(authority.orders),
    log: exportPkcs8Pem(authority.log),
    server: credentialText(server),
  };
  await writeSealed(file.fs, file.path, Buffer.from(canonicalJson(wire)), file.passphrase);
}

// ---- content of the file -----------------------------------------------------------------------------------------

const credentialSchema = z.strictObject({ certificate: z.base64(), key: z.string() });

const fileSchema = z.strictObject({
  format: z.literal(1),
  trustDomain: z.string(),
  root: z.strictObject({ certificate: z.base64(), key: z.string().optional() }),
  intermediate: credentialSchema,
  orders: z.string(),
  log: z.string(),
  server: credentialSchema,
});

const rootSchema = z.strictObject({ format: z.literal(1), trustDomain: z.string(), root: credentialSchema });

function parseAuthority(bytes: Buffer): Authority {
  const wire = parseJson(bytes, fileSchema);
  try {
    const root = parseCertificate(Buffer.from(wire.root.certificate, 'base64'));
    const authority = authorityOf({
      trustDomain: wire.trustDomain,
      root: { certificate: root, ...(wire.root.key === undefined ? {} : { key: keyFor(root, wire.root.key) }) },
      intermediate: parseCredential(wire.intermediate),
      orders: importPkcs8Pem(wire.orders).privateKey,
      log: parseLogKey(wire.log),
      server: parseCredential(wire.server),
    });
    checkServer(authority);
    return authority;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Every signature and name from the server's certificate up; its own expiry is no fault, it is renewed. */
function checkServer(authority: Authority): void {
  const { server, intermediate, root, trustDomain } = authority;
  const { id } = verifyChain(server.certificate.raw, [intermediate.certificate.raw], [root.certificate.raw], {
    now: server.certificate.notAfter,
    trustDomain,
  });
  if (id.uri !== controlId(trustDomain, 'server').uri) throw invalid('the server certificate has another name');
}

function parseCredential(wire: z.infer<typeof credentialSchema>): Credential {
  const certificate = parseCertificate(Buffer.from(wire.certificate, 'base64'));
  return { certificate, key: keyFor(certificate, wire.key) };
}

function keyFor(certificate: Certificate, pem: string): KeyObject {
  const { privateKey } = importPkcs8Pem(pem);
  if (!isKeyOf(certificate, privateKey)) throw invalid('a key does not belong to its certificate');
  return privateKey;
}

function isKeyOf(certificate: Certificate, key: KeyObject): boolean {
  return createPublicKey(key).equals(certificate.publicKey);
}

function parseLogKey(pem: string): KeyObject {
  const key = createPrivateKey({ key: pem, format: 'pem', type: 'pkcs8' });
  if (key.asymmetricKeyType !== 'ed25519') throw invalid('the log key is no Ed25519 key');
  return key;
}

function parseJson<S extends z.ZodType>(bytes: Buffer, schema: S): z.infer<S> {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    // The cause is left out on purpose: a parser's message may quote key material.
    throw invalid('its content is not that of an authority’s key file');
  } finally {
    bytes.fill(0);
  }
}

function credentialText(credential: Credential): z.infer<typeof credentialSchema> {
  return { certificate: text(credential.certificate), key: exportPkcs8Pem(credential.key) };
}

function text(certificate: Certificate): string {
  return certificate.raw.toString('base64');
}

async function refuseExisting(file: SealedPlace): Promise<void> {
  if ((await file.fs.stat(file.path)) !== undefined) {
    throw caErrors.error('CA_AUTHORITY_EXISTS', `there is a file at ${file.path} already`);
  }
}

function invalid(why: string, cause?: unknown): Error {
  return caErrors.error('CA_AUTHORITY_INVALID', `the authority’s key file cannot be used: ${why}`, { cause });
}
