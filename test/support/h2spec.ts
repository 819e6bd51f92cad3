// Where h2spec is: `npm run setup` builds it where there is Go. 2.2.1 is the last version that the Go module proxy has.
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import pin from './h2spec.json' with { type: 'json' };

/** Its path, or undefined. */
export function findH2spec(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const path = join(cache, 'edgeward', `h2spec-${pin.version}`, 'h2spec');
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}
