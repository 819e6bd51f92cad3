// The control plane as an edge may meet it: every Connect is a script of the test, well behaved or not.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { StreamConnection } from '../../policy/distribution/edge/index.ts';
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  type ResourceType,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { settle } from './world.ts';

type Answer = NonNullable<MessageInitShape<typeof ConnectResponseSchema>['message']>;

export interface Call {
  /** Which dialled connection it is on, from 0. */
  readonly connection: number;
  readonly signal: AbortSignal;
  /** What the edge said and nobody took yet. */
  readonly heard: ConnectRequest['message'][];
  /** The next message of this kind; earlier ones stay in `heard`. */
  next<C extends ConnectRequest['message']['case']>(
    kind: C,
  ): Promise<Extract<ConnectRequest['message'], { case: C }>['value']>;
  say(message: Answer): void;
  welcome(spreadMs?: number): void;
  resource(type: ResourceType, version: number, payload: Uint8Array): Uint8Array;
  /** Ends the call, with an error or cleanly. */
  end(error?: Error): void;
}

export interface ScriptedServer {
  readonly dial: () => StreamConnection;
  readonly calls: Call[];
  dialled(): number;
  closed(): number;
  /** Refuses to be dialled while set. */
  refuse: Error | undefined;
  /** Waits for the call number `index`. */
  call(index: number): Promise<Call>;
}

export function scriptedServer(): ScriptedServer {
  const calls: Call[] = [];
  let dialled = 0;
  let closed = 0;
  const server: ScriptedServer = {
    calls,
    dialled: () => dialled,
    closed: () => closed,
    refuse: undefined,
    dial() {
      dialled += 1;
      if (server.refuse !== undefined) throw server.refuse;
      const connection = dialled - 1;
      return {
        connect(requests, { signal }) {
          const { call, responses } = openCall(connection, requests, signal);
          calls.push(call);
          return responses;
        },
        close: () => {
          closed += 1;
        },
      };
    },
    async call(index) {
      for (let turn = 0; turn < 50 && calls.length <= index; turn += 1) await settle();
      const found = calls[index];
      if (found === undefined) throw new Error(`call ${index} was never made`);
      return found;
    },
  };
  return server;
}

function openCall(connection: number, requests: AsyncIterable<ConnectRequest>, signal: AbortSignal) {
  const heard: ConnectRequest['message'][] = [];
  const answers: ConnectResponse[] = [];
  let ended: { error: Error | undefined } | undefined;
  let wake: () => void = () => undefined;
  let nonce = 0;
  const listen = async (): Promise<void> => {
    for await (const { message } of requests) heard.push(message);
  };
  void listen();
  signal.addEventListener('abort', () => wake());
  async function* responses(): AsyncGenerator<ConnectResponse> {
    for (;;) {
      const answer = answers.shift();
      if (answer !== undefined) yield answer;
      else if (signal.aborted) throw signal.reason;
      else if (ended?.error !== undefined) throw ended.error;
      else if (ended !== undefined) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const say = (message: Answer): void => {
    answers.push(create(ConnectResponseSchema, { message }));
    wake();
  };
  const call: Call = {
    connection,
    signal,
    heard,
    async next(kind) {
      for (let turn = 0; turn < 50; turn += 1) {
        const index = heard.findIndex((message) => message.case === kind);
        if (index >= 0) return heard.splice(index, 1)[0]?.value as never;
        await settle();
      }
      throw new Error(
        `the edge never said ${String(kind)}; it said ${heard.map((message) => message.case).join(', ')}`,
      );
    },
    say,
    welcome: (reconnectSpreadMs = 1_000) =>
      say({ case: 'welcome', value: { serverVersion: '0.1.0', reconnectSpreadMs } }),
    resource(type, version, payload) {
      const bytes = Buffer.alloc(16, ++nonce);
      say({ case: 'resource', value: { type, version: BigInt(version), nonce: bytes, payload } });
      return bytes;
    },
    end(error) {
      ended = { error };
      wake();
    },
  };
  return { call, responses: responses() };
}
