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
  const { activation } = enforcement;
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
  const handlers = handlersOf(enforcement.orders, () => enforcement.firewall.refresh());
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
        [ResourceType.POLICY]: activation.handler,
        [ResourceType.TRUST_BUNDLE]: own.anchorsHandler,
      },
      time: async (jws) => await trusted.observe(jws),
      evidence: async ({ nonce }) => await collect(nonce),
      renewal: own.renewal(trustedClock),
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

/** Device states change what packets may pass: after each that was taken, the firewall is planned again. */
function handlersOf({ handlers }: OrdersStore, refresh: () => void): OrdersStore['handlers'] {
  const after = (handler: OrdersStore['handlers']['orders']): OrdersStore['handlers']['orders'] => ({
    ...handler,
    apply: async (resource) => {
      const inForce = await handler.apply(resource);
      refresh();
      return inForce;
    },
  });
  return {
    orders: after(handlers.orders),
    deviceState: after(handlers.deviceState),
    revocations: handlers.revocations,
  };
}
