// A measured server in a process of its own, which tells by IPC what it has used:
//   node bench/authz/server.ts '{"kind": "edge", ...}'
import type { Transport } from './transports.ts';

export type ServerTask =
  | { readonly kind: 'workload' }
  | { readonly kind: 'canned-forward-auth'; readonly socket: string }
  | { readonly kind: 'canned'; readonly transport: Transport; readonly socket: string; readonly reply: string }
  | { readonly kind: 'edge'; readonly transport: Transport; readonly folder: string; readonly state: string };

/** Where a server listens, once it does. */
export interface Listening {
  readonly check: string;
  /** Where a principal is believed; of an edge only. */
  readonly checkByName?: string;
  readonly forwardAuth?: string;
  /** Of a workload. */
  readonly port?: number;
}

export interface ServerUse {
  /** CPU microseconds of the whole process since it started: every thread, collection, compilation and the disk's. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Decision events that are durable, and that the spool had to drop. */
  readonly logged: number;
  readonly lost: number;
}

export interface Running {
  readonly listening: Listening;
  /** Resolves when everything that was logged is on disk. */
  readonly settle: () => Promise<void>;
  readonly logged: () => { logged: number; lost: number };
}

export type ServerQuestion = 'use' | 'settle' | 'collect';

const task = JSON.parse(process.argv[2] ?? '') as ServerTask;
const running = await start();

process.on('message', (question: ServerQuestion) => void answer(question));
process.on('disconnect', () => process.exit());
process.send?.(running.listening);

async function answer(question: ServerQuestion): Promise<void> {
  if (question === 'settle') await running.settle();
  if (question === 'collect') globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const use: ServerUse = {
    cpuUs: user + system,
    rssBytes: rss,
    heapBytes: heapUsed,
    externalBytes: external,
    ...running.logged(),
  };
  process.send?.(use);
}

/** Each loads only what it is: memory is a figure. */
async function start(): Promise<Running> {
  switch (task.kind) {
    case 'edge':
      return await (await import('./edge-server.ts')).edgeServer(task);
    case 'canned':
      return await (await import('./canned-server.ts')).cannedServer(task);
    case 'canned-forward-auth':
      return await (await import('./canned-web.ts')).cannedForwardAuth(task);
    case 'workload':
      return await (await import('./canned-web.ts')).workload();
  }
}
