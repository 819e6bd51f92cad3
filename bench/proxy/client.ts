// The client of the bench in a process of its own: does what an order says and answers with what it saw.
import { attack } from './jobs/attack.ts';
import { bulk } from './jobs/bulk.ts';
import { holdConnections } from './jobs/hold.ts';
import { mqttFlow } from './jobs/mqtt-flow.ts';
import { pingPong } from './jobs/ping-pong.ts';
import { poll } from './jobs/poll.ts';
import { sendStreams } from './jobs/send-streams.ts';

const jobs = { attack, bulk, hold: holdConnections, mqttFlow, pingPong, poll, sendStreams } as const;
type Jobs = typeof jobs;
type Name = keyof Jobs;

export type Order = { [N in Name]: { readonly job: N } & Parameters<Jobs[N]>[0] }[Name];
export type OrderAnswer<O extends Order> = Awaited<ReturnType<Jobs[O['job']]>>;

process.on('message', (order: Order) => {
  const job = jobs[order.job] as (order: Order) => Promise<unknown>;
  job(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
