// What of this folder the firewall uses.
export type { FlowTarget } from './end-flows.ts';
export { commandAccess, flowAccess, type FlowAccess, netlinkAccess } from './flow-access.ts';
export { flowAddress } from './flow-address.ts';
export { RESOLUTION_MS } from './limits.ts';
