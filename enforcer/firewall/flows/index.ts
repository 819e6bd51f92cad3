// What of this folder the firewall uses.
export { createEndFlows } from './create-end-flows.ts';
export type { EndedFlows, EndFlows, FlowTarget } from './end-flows.ts';
