// The git binary, called without a shell and without letting the repository, the environment or a server decide what
// runs: no hooks, no fsmonitor, no prompts, no external transports.
import { execFile } from 'node:child_process';
import type { ExecFileException } from 'node:child_process';
import { policyErrors } from '../errors.ts';
import { GIT_MAX_OUTPUT_BYTES, GIT_TIMEOUT_MS } from '../limits.ts';

/** What git may see of the caller's environment. GIT_DIR and the like, set inside hooks, would point elsewhere. */
const passed = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'TMPDIR',
  'XDG_CONFIG_HOME',
  'SSH_AUTH_SOCK',
  'GIT_SSH_COMMAND',
  'HTTPS_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'GIT_SSL_CAINFO',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
];

const settings = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'submodule.recurse=false',
  'log.showSignature=false',
  'gc.auto=0',
  'protocol.ext.allow=never',
];

export interface GitCall {
  readonly directory: string;
  readonly args: readonly string[];
  /** Written to standard input. */
  readonly input?: string;
  readonly environment?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Standard output of one git command. Throws POLICY_GIT_FAILED with what git said. */
export function git(call: GitCall): Promise<Buffer> {
  const args = [...settings.flatMap((setting) => ['-c', setting]), ...call.args];
  const options = {
    cwd: call.directory,
    env: gitEnvironment(call.environment ?? process.env),
    encoding: 'buffer' as const,
    timeout: GIT_TIMEOUT_MS,
    maxBuffer: GIT_MAX_OUTPUT_BYTES,
    ...(call.signal ? { signal: call.signal } : {}),
  };
  return new Promise((resolve, reject) => {
    const child = execFile('git', args, options, (error, stdout, stderr) => {
      if (error) reject(gitFailure(call.args, error, stderr));
      else resolve(stdout);
    });
    // git may end before it has read everything; its exit code says what happened.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(call.input ?? '');
  });
}

function gitEnvironment(from: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(passed.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
  return {
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    ...kept,
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    SSH_ASKPASS: '/bin/false',
    GIT_ALLOW_PROTOCOL: 'https:ssh:file',
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_PAGER: 'cat',
  };
}

function gitFailure(args: readonly string[], error: ExecFileException, stderr: Buffer): Error {
  const said = stderr.toString('utf8').trim().slice(0, 1000);
  const what = `git ${args[0] ?? ''}`;
  if (error.code === 'ENOENT') {
    return policyErrors.error('POLICY_GIT_FAILED', 'the git program or the directory is missing', {
      remedy: 'Install git and check the path',
    });
  }
  if (error.killed === true) {
    return policyErrors.error('POLICY_GIT_FAILED', `${what} did not finish in ${GIT_TIMEOUT_MS / 1000} s`);
  }
  return policyErrors.error('POLICY_GIT_FAILED', `${what}: ${withoutCredentials(said === '' ? error.message : said)}`);
}

/** Addresses may carry a user and password; they stay out of every message. */
export function withoutCredentials(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/gi, '$1');
}
