// What is in force on this edge: the bundle, the orders, and the time by which both are judged.
export {
  type Activation,
  type ActivationAck,
  type ActivationOptions,
  type Active,
  createActivation,
} from './activate.ts';
export type { FetchChunks } from './collect-chunks.ts';
export type { Containment, ContainmentChange } from './containment.ts';
export { type Abilities, createDecide, createHolds } from './decide.ts';
export { type ActivationErrorCode, activationErrors } from './errors.ts';
export { type Expiry, freshnessOf } from './freshness.ts';
export { hostBoot } from './host-boot.ts';
export { MAX_BLOCK_MS, MAX_ORDER_DEVICES, MAX_ORDERED_BLOCKS, STATE_MAX_AGE_MS } from './limits.ts';
export { openOrdersStore, type OrdersStore, type OrdersStoreOptions, type StateHandler } from './orders-store.ts';
export type { OrderedBlock, OrderedIsland, SiteOrders } from './site-orders.ts';
export { createSafety, type Safety, type SafetyParts, sparing } from './safety.ts';
export type { SelfTesting } from './self-test.ts';
export { createSubjectState, type Subject, type SubjectView } from './subject-state.ts';
export {
  type Boot,
  openTrustedClock,
  type TrustedClock,
  type TrustedClockOptions,
  type TrustedTime,
} from './trusted-clock.ts';
