// The processes of the bench: started with a channel, asked one thing at a time, ended with the bench.
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadOrder, LoadReport } from './generator.ts';
import type { LoadResult } from './load.ts';
import type { Listening, ServerQuestion, ServerTask, ServerUse } from './server.ts';
import type { Transport } from './transports.ts';
import { programEnvironment, programFlags, Talk } from '../talk.ts';
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

const at = (name: string): string => join(import.meta.dirname, name);

/** `flags` are given to node beside those of the product, e.g. `--cpu-prof`. */
export async function startServer(task: ServerTask, flags: readonly string[] = []): Promise<MeasuredServer> {
  const talk = new Talk(at('server.ts'), [JSON.stringify(task)], {
    flags: [...programFlags, ...flags],
    environment: programEnvironment,
  });
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
  const talk = new Talk(at('web-client.ts'));
  await talk.next();
  return { run: (order) => talk.ask<WebReport>(order), stop: () => talk.stop() };
}

export interface Generator {
  run(order: LoadOrder): Promise<LoadResult>;
  stop(): Promise<void>;
}

export async function startGenerator(corpora: readonly string[]): Promise<Generator> {
  const talk = new Talk(at('generator.ts'), corpora);
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
