// Digests of files: of single executables, and of the enforcer's own tree as one value that does not depend on where
// it is installed.
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { attestError } from '../errors.ts';
import { MAX_PROGRAM_DEPTH, MAX_PROGRAM_FILES } from '../limits.ts';
import { MISSING } from '../posture/missing.ts';
import type { MeasuredFiles } from './files.ts';

/** Path to SHA-256 or `missing`, of every path. */
export async function measureExecutables(
  files: MeasuredFiles,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<Record<string, string>> {
  const measured: Record<string, string> = {};
  // One after the other: measuring must not take the disk away from the workloads.
  for (const path of paths) measured[path] = (await files.digest(path, signal)) ?? MISSING;
  return measured;
}

/** A folder or file of the program, and what its paths begin with; a path alone gives its own last name. */
export type ProgramRoot = string | { readonly path: string; readonly name: string };

/**
 * Hex SHA-256 over the sorted lines `kind digest path` of every file below the roots. Paths begin with the name of
 * their root, so the same program has the same digest in every folder. Links count by where they point. Throws
 * ATTEST_MEASURE_FAILED when a file is missing or unreadable: a program that cannot measure itself says so.
 */
export async function measureProgram(
  files: MeasuredFiles,
  roots: readonly ProgramRoot[],
  signal?: AbortSignal,
): Promise<string> {
  const named = roots.map((root) => (typeof root === 'string' ? { path: root, name: basename(root) } : root));
  if (named.length === 0 || new Set(named.map(({ name }) => name)).size !== named.length) {
    throw attestError('ATTEST_MEASURE_FAILED', 'the roots of the program need names that differ');
  }
  const lines: string[] = [];
  const visit = async (path: string, label: string, depth: number): Promise<void> => {
    if (depth > MAX_PROGRAM_DEPTH) throw failed(path, 'nested too deeply');
    const kind = await files.kind(path);
    if (kind === 'folder') {
      for (const name of await files.list(path)) await visit(join(path, name), `${label}/${name}`, depth + 1);
      return;
    }
    if (lines.length >= MAX_PROGRAM_FILES) throw failed(path, `one of more than ${MAX_PROGRAM_FILES} files`);
    // The label as JSON: a line break in a name cannot forge a line.
    lines.push(`${kind} ${await measureEntry(files, path, kind, signal)} ${JSON.stringify(label)}\n`);
  };
  for (const { path, name } of named) await visit(path, name, 0);
  return createHash('sha256').update(lines.toSorted().join('')).digest('hex');
}

async function measureEntry(
  files: MeasuredFiles,
  path: string,
  kind: Awaited<ReturnType<MeasuredFiles['kind']>>,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (kind === 'link')
    return createHash('sha256')
      .update(await files.target(path))
      .digest('hex');
  const digest = kind === 'file' || kind === 'executable' ? await files.digest(path, signal) : undefined;
  if (digest === undefined) throw failed(path, 'missing, unreadable or no regular file');
  return digest;
}

function failed(path: string, reason: string): Error {
  return attestError('ATTEST_MEASURE_FAILED', `a file of the program is ${reason}`, { place: { file: path } });
}
