// Publishes one commit from the publisher's machine: read, lint, test, build, sign, upload, complete. Runs outside the
// control plane, which never sees the private key and takes what it is given only as far as the signatures reach.
import type { Clock } from '../../runtime/clock.ts';
import { digestOf, RELEASE_TYPE, sealBundle, signDocument } from '../bundle/index.ts';
import type { BundleChunk, PublisherKey, Release, SealedBundle, Slice } from '../bundle/index.ts';
import { cutPublication } from '../bundle/publication-parts.ts';
import { policyErrors } from '../errors.ts';
import { MAX_COMPLETION_BYTES, MAX_DIGESTS_ASKED, UPLOAD_CONCURRENCY } from '../limits.ts';
import { buildSlices } from './build.ts';
import { decideWithEngine } from './decide.ts';
import { readCommit } from './git-source.ts';
import type { CommitTree } from './git-source.ts';
import { loadRepository } from './load.ts';
import type { Problem } from './problems.ts';
import type { Repository } from './repository.ts';
import type { FindRegoCompiler } from './rego/compiler.ts';
import { runRegoTests } from './rego/run-rego-tests.ts';
import { runPolicyTests } from './run-tests.ts';
import type { TestReport } from './run-tests.ts';

/** The control plane as the publisher sees it (admin RPCs BeginPublication, FindMissingChunks, UploadChunk,
 * CompletePublication). */
export interface PublicationClient {
  begin(): Promise<{ readonly version: number; readonly trustDomain: string }>;
  /** Those of the digests (lower case hex, at most MAX_DIGESTS_ASKED) that it does not hold. */
  missing(digests: readonly string[]): Promise<readonly string[]>;
  /** Idempotent; the digest is lower case hex. */
  upload(chunk: BundleChunk): Promise<void>;
  complete(publication: {
    readonly version: number;
    /** Release JWS, and manifest JWS of every device; empty where `parts` holds them. */
    readonly release: string;
    readonly manifests: readonly string[];
    /** Digests of uploaded chunks (bundle/publication-parts.ts); empty where all fits into one message. */
    readonly parts: readonly string[];
  }): Promise<void>;
}

export interface PublishOptions {
  /** Directory of a clean working tree, bare repository, or https, ssh or file address. */
  readonly source: string;
  /** Branch, tag or commit; HEAD when absent. */
  readonly ref?: string;
  readonly publisherKey: PublisherKey;
  readonly client: PublicationClient;
  readonly clock: Clock;
  /** Of the publisher's machine. */
  readonly findRegoCompiler: FindRegoCompiler;
  /** Where a remote is fetched to. */
  readonly temporaryDirectory: string;
  readonly signal?: AbortSignal;
  /** Told each step as it begins, for progress on a terminal. */
  readonly onStep?: (step: PublishStep) => void;
}

export type PublishStep = 'read' | 'lint' | 'test' | 'build' | 'upload' | 'complete';

export type PublishResult =
  | { readonly outcome: 'published'; readonly publication: Publication; readonly warnings: readonly Problem[] }
  /** The commit has lint errors, or Rego tests of it fail. */
  | { readonly outcome: 'invalid'; readonly problems: readonly Problem[] }
  | { readonly outcome: 'tests-failed'; readonly tests: TestReport };

export interface Publication {
  readonly version: number;
  readonly trustDomain: string;
  readonly commit: string;
  readonly author: string;
  readonly committedAt: number;
  readonly issuedAt: number;
  /** SHA-256 of the release JWS, lower case hex. */
  readonly digest: string;
  readonly devices: number;
  /** Different chunks of all bundles, and those that the control plane did not hold yet. */
  readonly chunks: number;
  readonly uploaded: number;
  readonly tests: number;
  readonly publisherKeyId: string;
}

/** Throws POLICY_TREE_DIRTY, POLICY_SOURCE_*, POLICY_GIT_FAILED, and what the control plane refuses. */
export async function publish(options: PublishOptions): Promise<PublishResult> {
  const { clock, client, findRegoCompiler, onStep = () => undefined } = options;
  onStep('read');
  const tree = await readCommit(options);
  onStep('lint');
  const { repository, problems } = loadRepository(tree, clock.now(), findRegoCompiler);
  if (repository === undefined) return { outcome: 'invalid', problems };
  onStep('test');
  const slices = buildSlices(repository);
  const tests = runPolicyTests(repository, decideWithEngine(), clock.now(), slices);
  if (!tests.ok) return { outcome: 'tests-failed', tests };
  const regoTests = runRegoTests(repository, findRegoCompiler);
  if (!regoTests.ok) return { outcome: 'invalid', problems: regoTests.problems };
  onStep('build');
  const { version, trustDomain } = await client.begin();
  if (trustDomain !== repository.trustDomain) {
    const message = `the control plane serves ${trustDomain}, edgeward.yaml says ${repository.trustDomain}`;
    throw policyErrors.error('POLICY_TRUST_DOMAIN_MISMATCH', message, { place: { file: 'edgeward.yaml' } });
  }
  const sealed = await sealRelease({
    repository,
    slices,
    tree,
    version,
    issuedAt: clock.now(),
    key: options.publisherKey,
  });
  onStep('upload');
  const missing = await missingOf(sealed.chunks, client);
  await uploadAll(missing, client, options.signal);
  onStep('complete');
  await client.complete({ version, ...(await completion(sealed, client, options.signal)) });
  return {
    outcome: 'published',
    publication: describe(sealed, missing.length, tests, options.publisherKey),
    warnings: problems,
  };
}

export interface SealRequest {
  readonly repository: Repository;
  readonly slices: ReadonlyMap<string, Slice>;
  readonly tree: CommitTree;
  readonly version: number;
  readonly issuedAt: number;
  readonly key: PublisherKey;
}

export interface SealedRelease {
  readonly release: Release;
  readonly releaseJws: string;
  /** Manifest JWS of every device. */
  readonly manifests: readonly string[];
  /** Every chunk once, also when several devices share it. */
  readonly chunks: readonly BundleChunk[];
}

/** Signs a bundle for each device, and the release that binds them together. Touches nothing outside. */
export async function sealRelease(request: SealRequest): Promise<SealedRelease> {
  const { repository, slices, tree, version, issuedAt, key } = request;
  const meta = {
    version,
    issuedAt,
    softExpiry: issuedAt + repository.softExpiryMs,
    hardExpiry: issuedAt + repository.hardExpiryMs,
    commit: tree.commit,
    author: tree.author,
  };
  const bundles: SealedBundle[] = [];
  for (const slice of slices.values()) bundles.push(await sealBundle(slice, meta, key));
  const release: Release = {
    format: 1,
    trustDomain: repository.trustDomain,
    version,
    commit: tree.commit,
    author: tree.author,
    committedAt: tree.committedAt,
    issuedAt,
    devices: repository.devices.map(({ id, labels, interfaces }) => ({ id, labels, interfaces })),
    referenceValues: copyReferences(repository),
    detections: repository.detections,
    playbooks: repository.playbooks,
    manifests: Object.fromEntries(bundles.map((bundle) => [bundle.manifest.device, bundle.digest])),
  };
  const chunks = new Map(bundles.flatMap((bundle) => bundle.chunks.map((chunk) => [chunk.digest, chunk])));
  return {
    release,
    releaseJws: await signDocument(release, RELEASE_TYPE, key),
    manifests: bundles.map((bundle) => bundle.manifestJws),
    chunks: [...chunks.values()],
  };
}

function copyReferences(repository: Repository): Release['referenceValues'] {
  return Object.fromEntries(
    Object.entries(repository.referenceValues).map(([device, executables]) => [
      device,
      Object.fromEntries(Object.entries(executables).map(([path, digests]) => [path, [...digests]])),
    ]),
  );
}

/** What completes a publication, in the message itself where it fits. */
async function completion(
  { releaseJws: release, manifests }: SealedRelease,
  client: PublicationClient,
  signal: AbortSignal | undefined,
): Promise<Omit<Parameters<PublicationClient['complete']>[0], 'version'>> {
  const size = manifests.reduce((sum, manifest) => sum + manifest.length, release.length);
  if (size <= MAX_COMPLETION_BYTES) return { release, manifests, parts: [] };
  const parts = cutPublication({ release, manifests });
  await uploadAll(parts, client, signal);
  return { release: '', manifests: [], parts: parts.map(({ digest }) => digest) };
}

/** Slices that are as they were published consist of chunks that are there. */
async function missingOf(chunks: readonly BundleChunk[], client: PublicationClient): Promise<BundleChunk[]> {
  const missing: BundleChunk[] = [];
  for (let start = 0; start < chunks.length; start += MAX_DIGESTS_ASKED) {
    const batch = chunks.slice(start, start + MAX_DIGESTS_ASKED);
    const wanted = new Set(await client.missing(batch.map(({ digest }) => digest)));
    missing.push(...batch.filter(({ digest }) => wanted.has(digest)));
  }
  return missing;
}

/** A few at a time; the first failure stops the rest. */
async function uploadAll(
  chunks: readonly BundleChunk[],
  client: PublicationClient,
  signal: AbortSignal | undefined,
): Promise<void> {
  const queue = chunks.values();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const chunk of queue) {
      if (failed) return;
      signal?.throwIfAborted();
      try {
        await client.upload(chunk);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(UPLOAD_CONCURRENCY, chunks.length) }, worker));
}

function describe(sealed: SealedRelease, uploaded: number, tests: TestReport, key: PublisherKey): Publication {
  const { version, trustDomain, commit, author, committedAt, issuedAt, devices } = sealed.release;
  return {
    version,
    trustDomain,
    commit,
    author,
    committedAt,
    issuedAt,
    digest: digestOf(sealed.releaseJws),
    devices: devices.length,
    chunks: sealed.chunks.length,
    uploaded,
    tests: tests.passed,
    publisherKeyId: key.keyId,
  };
}
