// The files of a policy repository as bytes by path, read from a directory or (git.ts) from a commit. Plain files
// only: symbolic links, odd names and oversized content are refused before anything is parsed.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { policyErrors } from '../errors.ts';
import {
  MAX_FEED_BYTES,
  MAX_FILE_BYTES,
  MAX_FILES,
  MAX_PATH_DEPTH,
  MAX_PATH_LENGTH,
  MAX_REPOSITORY_BYTES,
} from '../limits.ts';

export interface PolicyTree {
  /** Path inside the repository with forward slashes, to content. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Threat feeds; larger than what people write. */
export const feedPattern: RegExp = /^feeds\/([^/]+)\.netset$/;

/** Files nobody reads as policy: dot files, documentation and licences. */
export function isIgnored(path: string): boolean {
  const parts = path.split('/');
  const name = parts[parts.length - 1] ?? '';
  return (
    parts.some((part) => part.startsWith('.')) ||
    parts[0] === 'docs' ||
    /\.md$/i.test(name) ||
    /^(LICENSE|NOTICE|CODEOWNERS)(\..*)?$/.test(name)
  );
}

/** Refuses a path that could leave the repository or reads differently than it looks. */
export function checkPath(path: string): void {
  const parts = path.split('/');
  const wrong =
    path.length > MAX_PATH_LENGTH ||
    parts.length > MAX_PATH_DEPTH ||
    path.startsWith('/') ||
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
    /[\\:\u0000-\u001f\u007f]/.test(path) ||
    parts.some((part) => part === '' || part === '.' || part === '..');
  if (wrong) throw policyErrors.error('POLICY_SOURCE_UNSAFE', `path ${JSON.stringify(path.slice(0, 200))} is refused`);
}

/** Adds files under the caps; throws POLICY_SOURCE_TOO_LARGE at the first that does not fit. */
export class TreeBuilder {
  readonly #files = new Map<string, Uint8Array>();
  #bytes = 0;
  #count = 0;

  /** Call with the size before reading, so that an oversized file is never held. */
  expect(path: string, size: number): void {
    const most = feedPattern.test(path) ? MAX_FEED_BYTES : MAX_FILE_BYTES;
    if (size > most) {
      throw policyErrors.error('POLICY_SOURCE_TOO_LARGE', `${size} bytes; at most ${most} in this file`, {
        place: { file: path },
      });
    }
    this.#bytes += size;
    this.#count += 1;
    if (this.#bytes > MAX_REPOSITORY_BYTES || this.#count > MAX_FILES) {
      throw policyErrors.error(
        'POLICY_SOURCE_TOO_LARGE',
        `the repository holds more than ${MAX_FILES} files or ${MAX_REPOSITORY_BYTES} bytes`,
      );
    }
  }

  add(path: string, content: Uint8Array): void {
    this.#files.set(path, content);
  }

  done(): PolicyTree {
    return { files: new Map([...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) };
  }
}

/** Reads the working files of a directory, for lint and test before a commit. */
export async function readDirectory(directory: string): Promise<PolicyTree> {
  const builder = new TreeBuilder();
  await readInto(builder, directory, '');
  return builder.done();
}

async function readInto(builder: TreeBuilder, root: string, folder: string): Promise<void> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (isIgnored(path)) continue;
    checkPath(path);
    if (entry.isDirectory()) {
      await readInto(builder, root, path);
    } else if (entry.isFile()) {
      const { size } = await lstat(join(root, path));
      builder.expect(path, size);
      builder.add(path, await readFile(join(root, path)));
    } else {
      throw policyErrors.error('POLICY_SOURCE_UNSAFE', 'only plain files and folders', { place: { file: path } });
    }
  }
}
