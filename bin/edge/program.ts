// What the edge's program consists of, for its own attestation: this installation's code and the Node that runs it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const folders = ['bin', 'ca', 'attest', 'policy', 'enforcer', 'audit', 'identity', 'store', 'runtime', 'proto'];

export const programRoots: readonly string[] = [
  ...folders.map((folder) => join(root, folder)),
  join(root, 'package-lock.json'),
  process.execPath,
];

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
export const programVersion: string = version;
