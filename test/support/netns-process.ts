// Programs of a test network: run to the end, or started, watched and ended. Nothing here outlives its owner.
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Absent when it did not start. */
  readonly pid?: number;
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
        const pid = child.pid === undefined ? {} : { pid: child.pid };
        resolve({ code, stdout, stderr: code === -1 ? `${stderr}${error?.message}` : stderr, ...pid });
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

/** What a program has said, and those who wait for something in it. */
class Output {
  text = '';
  ended = false;
  readonly #looks = new Set<() => void>();

  add(chunk: Buffer): void {
    this.text += chunk.toString();
    for (const look of this.#looks) look();
  }

  end(): void {
    this.ended = true;
    for (const look of this.#looks) look();
  }

  async waitFor(what: string, pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = (): void => {
      const match = pattern.exec(this.text);
      if (match !== null) resolve(match);
      else if (this.ended) reject(new Error(`${what} ended without ${pattern}:\n${this.text}`));
    };
    const late = (): void => reject(new Error(`${what}: no ${pattern} in ${timeoutMs} ms:\n${this.text}`));
    const timer = setTimeout(late, timeoutMs);
    this.#looks.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#looks.delete(look);
    }
  }
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
  const output = new Output();
  if (!raw) child.stdout.on('data', (chunk: Buffer) => output.add(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.add(chunk));
  child.stdin.on('error', () => {});
  if (options.input !== undefined) child.stdin.end(options.input);
  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(-1));
    child.once('close', (code) => resolve(code ?? -1));
  });
  void exited.then(() => {
    children.delete(child);
    output.end();
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number> => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 2_000);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  return {
    pid: child.pid ?? -1,
    child,
    output: () => output.text,
    waitFor: (pattern, timeoutMs = 10_000) => output.waitFor(argv.join(' '), pattern, timeoutMs),
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
