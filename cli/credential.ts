// An operator credential on disk: key.pem (0600), chain.pem, roots.pem, control.json, in a directory of its owner.
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliErrors } from './errors.ts';

/** Makes the directory before a certificate is asked for; refuses one that holds a credential. */
export function requireEmpty(directory: string): void {
  if (existsSync(join(directory, 'key.pem')))
    throw cliErrors.error('CLI_TARGET_EXISTS', `${directory} holds a credential already`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

export function writeCredential(
  directory: string,
  parts: { key: string; chain: string; roots: string; control: string },
): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  writeFileSync(join(directory, 'key.pem'), parts.key, { mode: 0o600 });
  writeFileSync(join(directory, 'chain.pem'), parts.chain);
  writeFileSync(join(directory, 'roots.pem'), parts.roots);
  writeFileSync(join(directory, 'control.json'), parts.control);
}
