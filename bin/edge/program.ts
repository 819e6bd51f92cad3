// What the edge's program consists of, for its own attestation: this installation's code, the packages it was installed
// with, and the Node that runs it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgramRoot } from '../../attest/edge/index.ts';

const installation = join(import.meta.dirname, '../..');
const folders = ['bin', 'cli', 'ca', 'attest', 'policy', 'enforcer', 'audit', 'identity', 'store', 'runtime', 'proto'];
const files = ['package.json', 'package-lock.json'];

interface Manifest {
  readonly version: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

const read = (root: string, file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'));

/** The installation in `root`, without what only tests and development need, and what comes from another installation. */
export function programIn(root: string): ProgramRoot[] {
  const { packages } = read(root, 'package-lock.json') as Lock;
  // Throw-away databases of tests, and the Node that is measured where it runs.
  const { optionalDependencies = {} } = read(root, 'package.json') as Manifest;
  const installed = Object.entries(packages).flatMap(([path, { dev = false }]) => {
    const [, name = '', nested] = path.split('node_modules/');
    // What is nested is measured with the package that it is nested in.
    if (name === '' || nested !== undefined || dev || name in optionalDependencies) return [];
    // Packages for other platforms are in the lock too.
    return existsSync(join(root, path)) ? [{ path: join(root, path), name: path }] : [];
  });
  return [...[...folders, ...files].map((name) => join(root, name)), ...installed];
}

export const programRoots: readonly ProgramRoot[] = [...programIn(installation), process.execPath];

export const programVersion: string = (read(installation, 'package.json') as Manifest).version;
