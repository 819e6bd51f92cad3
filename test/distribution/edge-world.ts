// An edge whose handlers remember what they were given, and a control plane that follows the test's script.
import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';
import {
  createStreamClient,
  type InForce,
  type ReceivedResource,
  type ResourceHandler,
  type StreamHandlers,
} from '../../policy/distribution/edge/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { scriptedServer } from './scripted-server.ts';
import { silent, start } from './world.ts';

export const digest = createHash('sha256').update('in force').digest();

/** A handler that remembers what it was given; `apply` may be replaced. */
export function handler(apply?: ResourceHandler['apply']) {
  const taken: ReceivedResource[] = [];
  let version = 0n;
  const own: ResourceHandler & { taken: ReceivedResource[]; confirmed: number } = {
    taken,
    confirmed: 0,
    version: () => version,
    async apply(resource, fetchChunks): Promise<InForce> {
      taken.push(resource);
      const inForce = (await apply?.(resource, fetchChunks)) ?? { digest };
      version = resource.version;
      return inForce;
    },
    confirm() {
      own.confirmed += 1;
      return Promise.resolve({ digest });
    },
  };
  return own;
}

export function edge(t: TestContext, handlers: Partial<StreamHandlers> = {}, random = () => 0) {
  const clock = new FakeClock(start);
  const server = scriptedServer();
  const client = createStreamClient({
    dial: server.dial,
    clock,
    random,
    agentVersion: '0.1.0',
    handlers: { resources: {}, evidence: () => Promise.reject(new Error('no evidence')), ...handlers },
    log: silent,
  });
  const abort = new AbortController();
  const running = client.run(abort.signal);
  t.after(async () => {
    abort.abort();
    await running;
  });
  return { clock, server, client };
}
