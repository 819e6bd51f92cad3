// A device whose edge is the test itself: one Connect of the stream, message by message, with any identity.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlVerifier } from '../../identity/index.ts';
import {
  type ConnectRequestSchema,
  type ConnectResponse,
  EdgeStreamService,
  ResourceType,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { type CertificateList, type ClientTls, createGrpcClient } from '../../runtime/grpc.ts';
import type { EdgeName, Site } from './site.ts';

export type Request = MessageInitShape<typeof ConnectRequestSchema>;
type Answers = ConnectResponse['message'];

/** How a client with this key and chain (leaf first) connects to the control plane. */
export function tlsOf(site: Site, identity: { key: string; chain: CertificateList }): ClientTls {
  const roots = readFileSync(join(site.paths.admin, 'roots.pem'), 'utf8');
  return { ...identity, roots, verifyServer: controlVerifier('plant.example', roots) };
}

/** The identity that enrolment left in a device's state directory. */
export const identityOf = (site: Site, device: EdgeName): ClientTls =>
  tlsOf(site, {
    key: readFileSync(site.paths.key(device), 'utf8'),
    chain: readFileSync(site.paths.chain(device), 'utf8'),
  });

export const hello = (protocolVersion = 1, types: readonly ResourceType[] = [ResourceType.TIME]): Request => ({
  message: {
    case: 'hello',
    value: { protocolVersion, agentVersion: 'test', subscriptions: types.map((type) => ({ type, version: 0n })) },
  },
});

export interface DeviceStream extends AsyncDisposable {
  say(request: Request): void;
  /** The next answer of this kind, others are left out; rejects with the error that ended the stream before. */
  next<C extends NonNullable<Answers['case']>>(kind: C): Promise<Extract<Answers, { case: C }>['value']>;
  /** Resolves with the error that ends the stream, undefined when it ends well. */
  readonly ended: Promise<unknown>;
}

export function openStream(address: string, tls: ClientTls): DeviceStream {
  const client = createGrpcClient(EdgeStreamService, address, tls);
  const waiting: Request[] = [];
  let wake: (() => void) | undefined;
  const leaving = new AbortController();
  async function* requests(): AsyncGenerator<Request> {
    while (!leaving.signal.aborted) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const heard: Answers[] = [];
  let tell: (() => void)[] = [];
  let over: { readonly error: unknown } | undefined;
  const look = (): void => {
    for (const told of tell.splice(0)) told();
  };
  const ended = (async () => {
    try {
      for await (const { message } of client.connect(requests())) {
        heard.push(message);
        look();
      }
      over = { error: undefined };
    } catch (error) {
      over = { error };
    }
    look();
    return over.error;
  })();
  return {
    say(request) {
      waiting.push(request);
      wake?.();
    },
    async next(kind) {
      for (;;) {
        const at = heard.findIndex((message) => message.case === kind);
        const [found] = at < 0 ? [] : heard.splice(0, at + 1).slice(-1);
        if (found !== undefined) return found.value as never;
        if (over !== undefined) throw over.error ?? new Error(`the stream ended without ${kind}`);
        await new Promise<void>((resolve) => tell.push(resolve));
      }
    },
    ended,
    async [Symbol.asyncDispose]() {
      leaving.abort();
      wake?.();
      client.close();
      await ended;
    },
  };
}
