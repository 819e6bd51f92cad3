// Mutated streams in a process of its own: node bench/proxy/mutated/process.ts; asked by IPC.
import { type MutatedOrder, runMutated } from './run.ts';
import { suites } from './suites.ts';

export type MutatedQuestion = MutatedOrder & { readonly suite: string };

process.on('message', ({ suite, ...order }: MutatedQuestion) => {
  const found = suites.find(({ name }) => name === suite);
  const work = found === undefined ? Promise.reject(new Error(`no suite ${suite}`)) : runMutated(found, order);
  work.then(
    (seen) => process.send?.(seen),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
