// An operator credential on disk: key.pem (0600), chain.pem, roots.pem, control.json, in a directory of its owner.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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
