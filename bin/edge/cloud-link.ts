// The edge's conversation with its control plane: resources down, evidence and renewal up, and the spool's delivery.
import { release } from 'node:os';
import { createCollector, measureAside } from '../../attest/edge/index.ts';
import { createDelivery, type Delivery, headType } from '../../audit/edge/index.ts';
import type { OrdersStore } from '../../enforcer/activation/index.ts';
import { keyId, signJws } from '../../identity/index.ts';
import { createStreamClient, type StreamClient } from '../../policy/distribution/edge/index.ts';
import { ResourceType } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { ControlAddresses } from './control-addresses.ts';
import type { EdgeCore } from './core.ts';
import type { Enforcement } from './enforcement.ts';
import { deliverOver, dialStream } from './link.ts';
import { programRoots, programVersion } from './program.ts';

export interface CloudLink {
  readonly stream: StreamClient;
  readonly delivery: Delivery;
}

export function openCloudLink(core: EdgeCore, enforcement: Enforcement, control: ControlAddresses): CloudLink {
  const { config, own, trusted, log, spool } = core;
  const { activation, workers } = enforcement;
  const trustedClock: Clock = { ...systemClock, now: () => trusted.now() };
  const collect = createCollector(
    {
      clock: trusted,
      measure: async (signal) =>
        await measureAside({ program: programRoots, executables: config.attest.executables }, signal),
      deviceKey: () => own.current().keys.privateKey,
      activeBundle: () => activation.current()?.bundle.digest ?? '',
    },
    {
      deviceId: core.deviceId,
      version: programVersion,
      platform: { os: process.platform, kernel: release() },
    },
  );
  const dialled = { stream: control.dialer(), delivery: control.dialer() };
  const handlers = handlersOf(
    enforcement.orders,
    () => enforcement.firewall.refresh(),
    () => workers.subjectsChanged(),
  );
  const renewal = own.renewal(trustedClock);
  const stream = createStreamClient({
    dial: () => dialStream(dialled.stream(), own, trusted),
    clock: systemClock,
    random: Math.random,
    agentVersion: programVersion,
    log,
    handlers: {
      resources: {
        [ResourceType.ORDERS]: handlers.orders,
        [ResourceType.DEVICE_STATE]: handlers.deviceState,
        [ResourceType.REVOCATIONS]: handlers.revocations,
        [ResourceType.POLICY]: {
          ...activation.handler,
          apply: (resource, fetchChunks) =>
            told(activation.handler.apply(resource, fetchChunks), workers.policyChanged),
        },
        [ResourceType.TRUST_BUNDLE]: {
          ...own.anchorsHandler,
          apply: (resource, fetchChunks) =>
            told(own.anchorsHandler.apply(resource, fetchChunks), workers.identityChanged),
        },
      },
      time: async (jws) => await trusted.observe(jws),
      evidence: async ({ nonce }) => await collect(nonce),
      renewal: { ...renewal, accept: (response) => told(renewal.accept(response), workers.identityChanged) },
    },
  });
  const delivery = createDelivery({
    spool,
    dial: (requests, options) => deliverOver(dialled.delivery(), own, trusted, requests, options),
    clock: systemClock,
    signHead: async (payload) => {
      const { keys } = own.current();
      return await signJws({ key: keys.privateKey, keyId: keyId(keys.publicKey), typ: headType }, payload);
    },
    log,
  });
  return { stream, delivery };
}

/** Every process of this edge has it before it is acknowledged, and also when not all of it could be taken. */
async function told<T>(work: Promise<T>, tell: () => Promise<void>): Promise<T> {
  try {
    return await work;
  } finally {
    await tell();
  }
}

/** Device states change what packets may pass: after each that was taken, the firewall is planned again. */
function handlersOf(
  { handlers }: OrdersStore,
  refresh: () => void,
  tell: () => Promise<void>,
): OrdersStore['handlers'] {
  type Handler = OrdersStore['handlers']['orders'];
  const everywhere = (handler: Handler): Handler => ({
    version: () => handler.version(),
    apply: (resource) => told(handler.apply(resource), tell),
    confirm: () => told(handler.confirm(), tell),
  });
  const after = (handler: Handler): Handler => ({
    ...handler,
    apply: async (resource) => {
      const inForce = await handler.apply(resource);
      refresh();
      return inForce;
    },
  });
  return {
    orders: after(everywhere(handlers.orders)),
    deviceState: after(everywhere(handlers.deviceState)),
    revocations: everywhere(handlers.revocations),
  };
}
