// Runs nft, ip, conntrack and ss: the only place of the firewall that starts programs.
import { execFile } from 'node:child_process';
import { COMMAND_TIMEOUT_MS, MAX_COMMAND_OUTPUT_BYTES } from './limits.ts';

export interface CommandResult {
  /** 127 when the program is not there, -1 when it was ended by a signal or the time limit. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the program; absent when it did not start. */
  readonly pid?: number;
}

/** Never rejects: a failed command is a result. */
export type RunCommand = (argv: readonly string[], input?: string) => Promise<CommandResult>;

/** Administration programs live in sbin, which a service's PATH often lacks. */
const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;

export const runCommand: RunCommand = (argv, input) => {
  const [program = '', ...rest] = argv;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      rest,
      {
        timeout: COMMAND_TIMEOUT_MS,
        maxBuffer: MAX_COMMAND_OUTPUT_BYTES,
        env: { ...process.env, PATH: path, LC_ALL: 'C' },
      },
      (error, stdout, stderr) => {
        resolve({
          code: exitCode(error),
          stdout,
          stderr: stderr === '' && error !== null ? error.message : stderr,
          ...(child.pid === undefined ? {} : { pid: child.pid }),
        });
      },
    );
    // A program that ends without reading its input is judged by its exit code.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
};

function exitCode(error: (Error & { code?: string | number | null }) | null): number {
  if (error === null) return 0;
  if (error.code === 'ENOENT') return 127;
  return typeof error.code === 'number' ? error.code : -1;
}
