// Where opa is, and how it is run. Exactly the pinned version (opa.json): another one compiles the same package to
// other bytes. It runs on the publisher's machine only, in an empty directory, with an empty environment.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { policyErrors } from '../../errors.ts';
import { OPA_MAX_OUTPUT_BYTES, OPA_TIMEOUT_MS } from '../../limits.ts';
import pin from './opa.json' with { type: 'json' };

export const opaVersion: string = pin.version;

export interface OpaRun {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Opa {
  readonly path: string;
  /** Throws POLICY_OPA_FAILED when it does not end within its time, or answers more than anybody reads. */
  readonly run: (directory: string, args: readonly string[]) => OpaRun;
}

/** Where `npm run setup` puts it. */
export function opaCachePath(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'edgeward', `opa-${opaVersion}`, 'opa');
}

/** EDGEWARD_OPA, else what the set-up brought, else PATH; undefined when none of them is the pinned version. */
export function findOpa(env: NodeJS.ProcessEnv = process.env): Opa | undefined {
  const named = env['EDGEWARD_OPA'];
  const candidates =
    named === undefined
      ? [opaCachePath(env), ...(env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'opa'))]
      : [named];
  const path = candidates.find((candidate) => isExecutable(candidate) && versionOf(candidate) === opaVersion);
  return path === undefined ? undefined : { path, run: (directory, args) => runOpa(path, directory, args) };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(path: string): string | undefined {
  const { stdout } = spawnSync(path, ['version'], { encoding: 'utf8', timeout: OPA_TIMEOUT_MS, env: {} });
  return /^Version: (\S+)$/m.exec(stdout ?? '')?.[1];
}

function runOpa(path: string, directory: string, args: readonly string[]): OpaRun {
  const { status, stdout, stderr, error } = spawnSync(path, args, {
    cwd: directory,
    encoding: 'utf8',
    timeout: OPA_TIMEOUT_MS,
    maxBuffer: OPA_MAX_OUTPUT_BYTES,
    // Nothing of the publisher's environment is for the policy to see.
    env: { HOME: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error !== undefined || status === null) {
    throw policyErrors.error('POLICY_OPA_FAILED', `opa ${args[0]}: ${error?.message ?? 'ended by a signal'}`);
  }
  return { status, stdout, stderr };
}
