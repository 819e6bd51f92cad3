// The pinned Envoy with one of the shipped snippets (examples/envoy): the snippet's text as it is, but for where things are.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findEnvoy } from '../support/envoy-program.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const shipped = join(import.meta.dirname, '../../examples/envoy');

export const snippet = (name: string): string => readFileSync(join(shipped, name), 'utf8');

/** Replaces each key by its value. Throws when the snippet does not hold it: then it was changed, and so must the test be. */
export function placed(text: string, changes: Readonly<Record<string, string>>): string {
  let result = text;
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(result.includes(from), `the snippet has no ${JSON.stringify(from)}`);
    result = result.replaceAll(from, () => to);
  }
  return result;
}

/** http.yaml with another cluster `edgeward`, which is the last thing in it. */
export function withCluster(config: string, cluster: string): string {
  const [before, ...after] = config.split('    - name: edgeward\n');
  assert.equal(after.length, 1);
  return `${before}${cluster.replaceAll(/^(?=.)/gm, '    ')}`;
}

export interface Envoy {
  /** A statistic by its full name; undefined when there is none. */
  readonly stat: (name: string) => Promise<number | undefined>;
  /** Answer of the admin interface. */
  readonly admin: (path: string) => Promise<string>;
  readonly process: ChildProcess;
  readonly stop: () => Promise<void>;
}

/** Resolves when Envoy listens on all it was told to. `adminSocket` is the pipe named in the configuration. */
export async function startEnvoy(folder: string, config: string, adminSocket: string): Promise<Envoy> {
  const file = join(folder, 'envoy.yaml');
  writeFileSync(file, config);
  const options = [
    '--use-dynamic-base-id',
    '--concurrency',
    '2',
    '--log-level',
    'warning',
    '--file-flush-interval-msec',
    '50',
  ];
  const envoy = spawn(findEnvoy() ?? 'envoy', ['-c', file, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: string[] = [];
  envoy.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const ended = once(envoy, 'exit');
  const admin = async (path: string): Promise<string> =>
    (await run('curl', ['-s', '--unix-socket', adminSocket, `http://admin${path}`])).stdout;
  const running: Envoy = {
    admin,
    stat: async (name) => {
      const line = (await admin(`/stats?filter=^${name.replaceAll('.', '\\.')}$`)).trim();
      return line === '' ? undefined : Number(line.split(': ')[1]);
    },
    process: envoy,
    stop: async () => {
      envoy.kill('SIGKILL');
      await ended;
    },
  };
  await until('Envoy is ready', async () => {
    if (envoy.exitCode !== null) return true;
    return (await admin('/ready')).trim() === 'LIVE';
  });
  if (envoy.exitCode !== null) throw new Error(`Envoy does not start:\n${said.join('')}`);
  return running;
}
