// Programs of a test network: run to the end, or started, watched and ended. Nothing here outlives its owner.
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly input?: string;
  /** Default 20,000. */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface NetProcess extends AsyncDisposable {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Standard output and error so far, as they came. */
  output(): string;
  /** Resolves with the match as soon as the output has one; rejects after `timeoutMs` (default 10,000) or when it ends. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  readonly exited: Promise<number>;
  /** SIGTERM, after two seconds SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<number>;
}

/** Runs a program to its end; never rejects because of its exit code (-1: no program, or ended by a signal). */
export function run(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      rest,
      {
        timeout: options.timeoutMs ?? 20_000,
        maxBuffer: 64 * 1024 * 1024,
        env: { ...process.env, LC_ALL: 'C', ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr: code === -1 ? `${stderr}${error?.message}` : stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

export async function must(argv: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(argv, input === undefined ? {} : { input });
  if (code === 0) return stdout;
  throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr.trim()}${input === undefined ? '' : `\n${input}`}`);
}

/** `raw` leaves standard output to the caller. */
export function start(
  argv: string[],
  children: Set<ChildProcess>,
  options: Omit<ExecOptions, 'timeoutMs'>,
  raw: boolean,
): NetProcess {
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, {
    stdio: 'pipe',
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  children.add(child);
  let text = '';
  const changed = new Set<() => void>();
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const notify of changed) notify();
  };
  if (!raw) child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.stdin.on('error', () => {});
  const exited = new Promise<number>((resolve) => {
    const finish = (code: number): void => {
      children.delete(child);
      resolve(code);
      for (const notify of changed) notify();
    };
    child.once('error', () => finish(-1));
    child.once('close', (code) => finish(code ?? -1));
  });
  if (options.input !== undefined) child.stdin.end(options.input);
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number> => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 2_000);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  const waitFor = (pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Error, match?: RegExpExecArray): void => {
        clearTimeout(timer);
        changed.delete(look);
        if (match !== undefined) resolve(match);
        else reject(error ?? new Error('nothing'));
      };
      const look = (): void => {
        const match = pattern.exec(text);
        if (match !== null) finish(undefined, match);
        else if (!children.has(child)) finish(new Error(`${argv.join(' ')} ended without ${pattern}:\n${text}`));
      };
      const timer = setTimeout(
        () => finish(new Error(`${argv.join(' ')}: no ${pattern} in ${timeoutMs} ms:\n${text}`)),
        timeoutMs,
      );
      changed.add(look);
      look();
    });
  return {
    pid: child.pid ?? -1,
    child,
    output: () => text,
    waitFor,
    exited,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** Ends a child that may have ended already. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2_000);
  await gone;
  clearTimeout(timer);
}
