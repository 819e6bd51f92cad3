// Our server with a clock that only the test moves, and a raw client on it.
import type { TestContext } from 'node:test';
import { FakeClock } from '../../runtime/fake-clock.ts';
import type { StreamMethod, UnaryMethod } from '../../runtime/h2/calls.ts';
import type { UnaryServerLimits } from '../../runtime/h2/limits.ts';
import { createUnaryServer, type UnaryServer } from '../../runtime/h2/server.ts';
import { RawClient } from './raw-client.ts';

export interface RawSetup {
  readonly server: UnaryServer;
  readonly clock: FakeClock;
  readonly faults: unknown[];
  /** Messages that methods got, and how many of their signals aborted. */
  readonly seen: { messages: Buffer[]; aborted: number };
  /** Lets the calls of `/t.T/Held` answer. */
  readonly release: () => void;
  readonly open: (greet?: boolean) => Promise<RawClient>;
}

/** `/t.T/Echo` gives the message back, `/t.T/Never` waits for its signal, `/t.T/Big` answers 50,000 bytes, `/t.T/Many` for ever. */
export async function startRaw(t: TestContext, limits: Partial<UnaryServerLimits> = {}): Promise<RawSetup> {
  const clock = new FakeClock();
  const faults: unknown[] = [];
  const seen = { messages: [] as Buffer[], aborted: 0 };
  const held = Promise.withResolvers<void>();
  const noted =
    (method: UnaryMethod): UnaryMethod =>
    (message, deadlineMs, call) => {
      seen.messages.push(Buffer.from(message));
      return method(message, deadlineMs, call);
    };
  const many: StreamMethod = async function* (_, __, call) {
    call.signal.addEventListener('abort', () => seen.aborted++);
    for (;;) yield Buffer.alloc(1000);
  };
  const server = createUnaryServer({
    methods: new Map([
      ['/t.T/Echo', noted((message) => message)],
      ['/t.T/Big', noted(() => Buffer.alloc(50_000, 1))],
      [
        '/t.T/Never',
        noted(
          (_, __, { signal }) =>
            new Promise((_, reject) => {
              signal.addEventListener('abort', () => {
                seen.aborted++;
                reject(signal.reason as Error);
              });
            }),
        ),
      ],
      ['/t.T/Held', noted(() => held.promise.then(() => Buffer.from('released')))],
      ['/t.T/Stuck', noted(() => new Promise(() => undefined))],
    ]),
    streams: new Map([['/t.T/Many', many]]),
    limits,
    onFault: (error) => faults.push(error),
    clock,
  });
  const port = await server.listen('127.0.0.1:0');
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await server.close(0);
  });
  return {
    server,
    clock,
    faults,
    seen,
    release: () => held.resolve(),
    open: async (greet = true) => {
      const client = await RawClient.open({ port }, greet);
      clients.push(client);
      return client;
    },
  };
}
