// The edge of the bench in a process of its own, on a host of the bench's network: rules in the kernel, TPROXY, engine and spool
// are the product's. Told by IPC what the control plane would send.
//   node bench/proxy/edge-process.ts '{"folder": "...", "state": "...", "lines": [...]}'
import { chunkServer } from '../../test/activation/world.ts';
import { runTasks } from '../../runtime/tasks.ts';
import type { SealedBundle } from '../../policy/bundle/index.ts';
import { openEdge } from '../open-edge.ts';

export interface EdgeTask {
  readonly folder: string;
  readonly state: string;
  readonly lines: readonly string[];
}

export type EdgeQuestion =
  | { readonly ask: 'use'; readonly collect?: boolean }
  | { readonly ask: 'offer'; readonly sealed: SealedBundle }
  | { readonly ask: 'states' | 'orders'; readonly version: number; readonly payload: Uint8Array };

export interface EdgeUse {
  /** CPU microseconds of the whole process since it started, every thread. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Events on disk, and those that the spool had to drop. */
  readonly logged: number;
  readonly lost: number;
  readonly bundle: number;
}

const { folder, state, lines } = JSON.parse(process.argv[2] ?? '') as EdgeTask;
const { core, enforcement, log } = await openEdge(folder, state, lines);
void runTasks(new AbortController().signal, enforcement.tasks, { drainMs: 0, log });

process.on('message', (question: EdgeQuestion) => {
  answer(question).then(
    (answered) => process.send?.(answered),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function answer(question: EdgeQuestion): Promise<unknown> {
  switch (question.ask) {
    case 'use':
      return await use(question.collect ?? false);
    case 'offer': {
      const { sealed } = question;
      const { version } = sealed.manifest;
      const payload = Buffer.from(sealed.manifestJws);
      return await enforcement.activation.handler.apply(
        { version: BigInt(version), payload },
        chunkServer(sealed).fetch,
      );
    }
    case 'states':
    case 'orders': {
      const handler = enforcement.orders.handlers[question.ask === 'states' ? 'deviceState' : 'orders'];
      await handler.apply({ version: BigInt(question.version), payload: question.payload });
      return 'applied';
    }
  }
}

async function use(collect: boolean): Promise<EdgeUse> {
  await core.spool.flush();
  if (collect) globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    cpuUs: user + system,
    rssBytes: rss,
    heapBytes: heapUsed,
    externalBytes: external,
    logged: core.spool.head().sequence,
    lost: core.spool.status().lost,
    bundle: enforcement.activation.current()?.bundle.manifest.version ?? 0,
  };
}
