// A policy repository at one commit: from a local working tree, which has to be clean, or fetched from a remote into a
// temporary directory. The answer holds the commit's own bytes, never the working files.
import { mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { policyErrors } from '../errors.ts';
import { git, withoutCredentials } from './git.ts';
import { checkPath, isIgnored, TreeBuilder } from './tree.ts';
import type { PolicyTree } from './tree.ts';

export interface CommitTree extends PolicyTree {
  /** Full commit id, lower case hex. */
  readonly commit: string;
  /** `Name <address>`. */
  readonly author: string;
  /** Committer date, milliseconds since the epoch. */
  readonly committedAt: number;
}

export interface GitSource {
  /** Path of a directory in a working tree or of a bare repository, or an https, ssh or file address. */
  readonly source: string;
  /** Branch, tag or commit; HEAD when absent. */
  readonly ref?: string;
  /** Where a remote is fetched to; the system's temporary directory of the caller. */
  readonly temporaryDirectory: string;
  readonly signal?: AbortSignal;
}

/** Reads the policy of one commit. Throws POLICY_SOURCE_*, POLICY_TREE_DIRTY, POLICY_GIT_FAILED. */
export async function readCommit(options: GitSource): Promise<CommitTree> {
  const ref = checkRef(options.ref ?? 'HEAD');
  if (isRemote(options.source)) return readRemote(options, checkRemote(options.source), ref);
  const directory = resolve(options.source);
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw policyErrors.error('POLICY_SOURCE_REFUSED', `${options.source} is not a directory`);
  }
  const call = { directory, ...(options.signal ? { signal: options.signal } : {}) };
  const bare = await git({ ...call, args: ['rev-parse', '--is-bare-repository'] });
  if (text(bare) === 'true') return readTree(call, ref, '');
  await refuseDirty(call);
  const prefix = text(await git({ ...call, args: ['rev-parse', '--show-prefix'] }));
  return readTree(call, ref, prefix.replace(/\/$/, ''));
}

/** What the working files are, in words: `commit 1a2b…`, with what differs from it, or no commit at all. */
export async function describeCommit(directory: string): Promise<string> {
  const call = { directory: resolve(directory) };
  try {
    const commit = text(await git({ ...call, args: ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'] }));
    const clean = await refuseDirty(call).then(
      () => true,
      () => false,
    );
    return clean ? `commit ${commit}` : `commit ${commit} with uncommitted changes`;
  } catch {
    return 'working files that are in no git commit';
  }
}

interface Call {
  readonly directory: string;
  readonly signal?: AbortSignal;
}

async function readRemote(options: GitSource, address: string, ref: string): Promise<CommitTree> {
  const directory = await mkdtemp(join(await realpath(options.temporaryDirectory), 'edgeward-policy-'));
  try {
    const call = { directory, ...(options.signal ? { signal: options.signal } : {}) };
    await git({ ...call, args: ['init', '--quiet', '--bare', '--template='] });
    const fetch = ['fetch', '--quiet', '--depth=1', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'];
    await git({ ...call, args: [...fetch, '--', address, `+${ref}:refs/edgeward/source`] });
    return await readTree(call, 'refs/edgeward/source', '');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function refuseDirty(call: Call): Promise<void> {
  const status = await git({ ...call, args: ['status', '--porcelain=v1', '-z', '--untracked-files=all', '--', '.'] });
  const files = status
    .toString('utf8')
    .split('\0')
    // The second path of a rename has no status letters; the rename itself is listed.
    .filter((entry) => /^[ MTADRCU?!]{2} /.test(entry))
    .map((entry) => entry.slice(3));
  if (files.length === 0) return;
  const listed = files.slice(0, 50).join(', ');
  const rest = files.length > 50 ? ` and ${files.length - 50} more` : '';
  throw policyErrors.error('POLICY_TREE_DIRTY', `files differ from the commit: ${listed}${rest}`);
}

async function readTree(call: Call, ref: string, prefix: string): Promise<CommitTree> {
  const named = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`];
  const commit = text(
    await git({ ...call, args: named }).catch((cause: unknown) => {
      throw policyErrors.error('POLICY_GIT_FAILED', `"${ref}" names no commit of this repository`, {
        remedy: 'Name a branch, a tag or a commit that git log shows',
        cause,
      });
    }),
  );
  const shown = text(await git({ ...call, args: ['show', '-s', '--no-color', '--format=%an <%ae>%x00%ct', commit] }));
  const [author = '', seconds = '0'] = shown.split('\0');
  // A tree-ish with a path, so that a repository in a sub-folder of a larger one reads like one of its own.
  const tree = prefix === '' ? commit : `${commit}:${prefix}`;
  const listing = await git({ ...call, args: ['ls-tree', '-r', '-z', '-l', '--full-tree', tree] });
  const entries = parseListing(listing.toString('utf8'));
  const builder = new TreeBuilder();
  for (const entry of entries) builder.expect(entry.path, entry.size);
  const contents = await readObjects(call, entries);
  entries.forEach((entry, index) => builder.add(entry.path, contents[index] ?? new Uint8Array()));
  return { ...builder.done(), commit, author: author.slice(0, 320), committedAt: Number(seconds) * 1000 };
}

interface Entry {
  readonly path: string;
  readonly object: string;
  readonly size: number;
}

function parseListing(listing: string): Entry[] {
  const entries: Entry[] = [];
  for (const line of listing.split('\0')) {
    const match = /^(\d{6}) ([a-z]+) ([0-9a-f]{40,64}) +(\d+|-)\t(.+)$/s.exec(line);
    if (!match) continue;
    const [, mode = '', , object = '', size = '', path = ''] = match;
    if (isIgnored(path)) continue;
    checkPath(path);
    if (mode !== '100644' && mode !== '100755') {
      throw policyErrors.error('POLICY_SOURCE_UNSAFE', 'only plain files; this is a link or a submodule', {
        place: { file: path },
      });
    }
    entries.push({ path, object, size: Number(size) });
  }
  return entries;
}

/** `git cat-file --batch`: for each object a line `<id> blob <size>`, the content, and a line feed. */
async function readObjects(call: Call, entries: readonly Entry[]): Promise<Uint8Array[]> {
  if (entries.length === 0) return [];
  const input = entries.map((entry) => `${entry.object}\n`).join('');
  const output = await git({ ...call, args: ['cat-file', '--batch'], input });
  const contents: Uint8Array[] = [];
  let at = 0;
  for (const entry of entries) {
    const lineEnd = output.indexOf(0x0a, at);
    const header = output.toString('latin1', at, lineEnd);
    if (header !== `${entry.object} blob ${entry.size}`) {
      throw policyErrors.error('POLICY_GIT_FAILED', `git cat-file answered ${JSON.stringify(header.slice(0, 100))}`);
    }
    contents.push(output.subarray(lineEnd + 1, lineEnd + 1 + entry.size));
    at = lineEnd + 1 + entry.size + 1;
  }
  return contents;
}

/** `scheme://...` or the short form `user@host:path`; everything else is a local path. */
export function isRemote(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(source) || /^[^/\s]+@[^/\s]+:/.test(source);
}

function checkRemote(source: string): string {
  const address =
    /^(https|ssh|file):\/\/[^-\s][^\s]*$/.test(source) || /^[\w.]+@[\w.][\w.-]*:[^-\s][^\s]*$/.test(source);
  // A host that starts with a dash is an option to ssh (CVE-2017-1000117); also after user@.
  if (!address || /@-/.test(source)) {
    throw policyErrors.error('POLICY_SOURCE_REFUSED', `address ${withoutCredentials(source)} is refused`);
  }
  return source;
}

function checkRef(ref: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$/.test(ref) || ref.includes('..')) {
    throw policyErrors.error('POLICY_SOURCE_REFUSED', `${JSON.stringify(ref)} is not a branch, tag or commit`);
  }
  return ref;
}

function text(output: Buffer): string {
  return output.toString('utf8').trim();
}
