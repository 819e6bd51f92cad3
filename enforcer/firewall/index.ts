// The host firewall: what the rest of the edge uses of it.
export { isPlainAddress, plainAddress } from './addresses.ts';
export { compileFirewall, type HostConfig } from './compile.ts';
export type { FirewallState } from './openings.ts';
export { createFirewall, type ContainmentOrder, type Firewall, type FirewallParts, type IslandMode } from './apply.ts';
export type { FirewallStatus } from './status.ts';
export { watchDenials, type DenialParts } from './nflog-events.ts';
export { renderNft } from './render.ts';
export { judgePacket, judgeTable, reachesControlPlane, type Packet, type PacketVerdict } from './judge.ts';
export { runCommand, type CommandResult, type RunCommand } from './run.ts';
export { firewallErrors } from './errors.ts';
export { originOf, type RuleOrigin } from './provenance.ts';
export type { Containment, ControlEndpoint, FirewallPlan, PlanRelease } from './plan.ts';
export { kernelTable } from './backend.ts';
export { type KernelTable, nftTable } from './kernel.ts';
export { netlinkTable } from './netlink/index.ts';
export { islandChange, plansOf, tableOf, tableOfPlan, stateOf, type TableState } from './table.ts';
export { tableChange, type TableChange } from './change.ts';
export { commandAccess, flowAccess, type FlowAccess, netlinkAccess } from './flows/index.ts';
