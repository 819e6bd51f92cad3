// A process of a bench: started with a channel, here or in a namespace, asked one thing at a time, ended with the bench.
import { type ChildProcess, spawn } from 'node:child_process';

const LEAVE_MS = 5_000;

/** As bin/edgeward starts an edge (test/cli/launcher.test.ts holds both equal); the last one lets us ask for a collection. */
export const programFlags: readonly string[] = [
  '--disallow-code-generation-from-strings',
  '--max-semi-space-size=2',
  '--expose-gc',
];
/** Beside it: malloc's, mallopt(3). */
export const programEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

export interface TalkOptions {
  /** Beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Given to node. */
  readonly flags?: readonly string[];
  /** Where it runs: `(argv) => net.commandOn('plc', argv)`. */
  readonly on?: (argv: readonly string[]) => readonly string[];
}

export class Talk {
  readonly child: ChildProcess;
  readonly #answers: ((message: unknown) => void)[] = [];
  readonly #refusals: ((error: Error) => void)[] = [];

  /** `module` is a path; what the process sends is taken in the order of the questions. */
  constructor(
    module: string,
    args: readonly string[] = [],
    { environment, flags = [], on = (argv) => argv }: TalkOptions = {},
  ) {
    const [program = '', ...rest] = on([process.execPath, ...flags, module, ...args]);
    this.child = spawn(program, rest, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    });
    this.child.on('message', (message) => {
      this.#refusals.shift();
      this.#answers.shift()?.(message);
    });
    this.child.on('exit', (code, signal) => {
      this.#answers.length = 0;
      for (const refuse of this.#refusals.splice(0)) refuse(new Error(`${module} ended with ${code ?? signal}`));
    });
  }

  next<T>(): Promise<T> {
    return new Promise((resolve, reject) => {
      const { exitCode, signalCode } = this.child;
      if (exitCode !== null || signalCode !== null) {
        reject(new Error(`the process ended with ${exitCode ?? signalCode}`));
        return;
      }
      this.#answers.push(resolve as (message: unknown) => void);
      this.#refusals.push(reject);
    });
  }

  ask<T>(question: object | string): Promise<T> {
    const answer = this.next<T>();
    if (this.child.connected) this.child.send(question);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    // It ends by itself when nobody asks it any more, so that node writes what --cpu-prof saw.
    if (this.child.connected) this.child.disconnect();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), LEAVE_MS);
    await gone;
    clearTimeout(timer);
  }
}
