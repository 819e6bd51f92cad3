// The processes of the bench: started with a channel, asked one thing at a time, ended with the bench.
import { type ChildProcess, fork } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadOrder, LoadReport } from './generator.ts';
import type { LoadResult } from './load.ts';
import type { Listening, ServerQuestion, ServerTask, ServerUse } from './server.ts';
import type { Transport } from './transports.ts';
import type { WebOrder, WebReport } from './web-client.ts';

export interface MeasuredServer {
  readonly listening: Listening;
  readonly pid: number;
  ask(question: ServerQuestion): Promise<ServerUse>;
  /** Whether the process still runs. */
  readonly alive: () => boolean;
  stop(): Promise<void>;
}

const START_MS = 120_000;
const LEAVE_MS = 5_000;

/** As the product's programs run; the flag for `collect` only lets us ask for a collection. */
const programFlags = ['--disallow-code-generation-from-strings', '--max-semi-space-size=2', '--expose-gc'];

class Talk {
  readonly child: ChildProcess;
  readonly #answers: ((message: unknown) => void)[] = [];
  readonly #refusals: ((error: Error) => void)[] = [];

  constructor(module: string, args: readonly string[], flags: readonly string[]) {
    this.child = fork(join(import.meta.dirname, module), args, {
      execArgv: [...flags],
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    this.child.on('message', (message) => {
      this.#refusals.shift();
      this.#answers.shift()?.(message);
    });
    this.child.on('exit', (code, signal) => {
      for (const refuse of this.#refusals.splice(0)) refuse(new Error(`${module} ended with ${code ?? signal}`));
    });
  }

  next<T>(): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.child.exitCode !== null) reject(new Error(`the process ended with ${this.child.exitCode}`));
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

/** `flags` are given to node beside those of the product, e.g. `--cpu-prof`. */
export async function startServer(task: ServerTask, flags: readonly string[] = []): Promise<MeasuredServer> {
  const talk = new Talk('server.ts', [JSON.stringify(task)], [...programFlags, ...flags]);
  const timer = setTimeout(() => void talk.stop(), START_MS);
  const listening = await talk.next<Listening>();
  clearTimeout(timer);
  return {
    listening,
    pid: talk.child.pid ?? 0,
    ask: (question) => talk.ask<ServerUse>(question),
    alive: () => talk.child.exitCode === null && talk.child.signalCode === null,
    stop: () => talk.stop(),
  };
}

/** An edge with a copy of the prepared state of its own. */
export async function startEdge(
  folder: string,
  name: string,
  transport: Transport,
  stateDir: string,
  flags: readonly string[] = [],
): Promise<MeasuredServer> {
  const own = join(folder, name);
  const state = join(own, 'state');
  mkdirSync(own, { recursive: true });
  cpSync(stateDir, state, { recursive: true });
  return await startServer({ kind: 'edge', transport, folder: own, state }, flags);
}

export interface WebClient {
  run(order: WebOrder): Promise<WebReport>;
  stop(): Promise<void>;
}

export async function startWebClient(): Promise<WebClient> {
  const talk = new Talk('web-client.ts', [], []);
  await talk.next();
  return { run: (order) => talk.ask<WebReport>(order), stop: () => talk.stop() };
}

export interface Generator {
  run(order: LoadOrder): Promise<LoadResult>;
  stop(): Promise<void>;
}

export async function startGenerator(corpora: readonly string[]): Promise<Generator> {
  const talk = new Talk('generator.ts', corpora, []);
  await talk.next();
  return {
    async run(order) {
      const report = await talk.ask<LoadReport>(order);
      if ('error' in report) throw new Error(report.error);
      return report.result;
    },
    stop: () => talk.stop(),
  };
}
