// The host firewall: what the rest of the edge uses of it.
export { isPlainAddress, plainAddress } from './addresses.ts';
export type { HostConfig } from './build.ts';
export { compileFirewall } from './compile.ts';
export type { FirewallState } from './openings.ts';
export { groupsOf } from './control-groups.ts';
export {
  createFirewall,
  type ContainmentOrder,
  type Firewall,
  type FirewallParts,
  type IslandMode,
} from './firewall.ts';
export type { FirewallStatus } from './status.ts';
export { watchDenials, type DenialParts } from './nflog-events.ts';
export { renderNft } from './render.ts';
export { canReach, endOfPlan, type EndAnswer, type ReachAnswer, type ReachEnd, type ReachQuestion } from './reach.ts';
export { arrivalsOf, judgePacket, judgeTable, reachesControlPlane, type Packet, type PacketVerdict } from './judge.ts';
export { runCommand, type CommandResult, type RunCommand } from './run.ts';
export { firewallErrors } from './errors.ts';
export { planLines, viewOf, type FirewallView, type RuleView } from './view.ts';
export { originOf, type RuleOrigin } from './provenance.ts';
export type { Containment, ControlEndpoint, Family, FirewallPlan, PlanRelease, Transport } from './plan.ts';
export { simulatedTable } from './simulated-table.ts';
export { kernelTable } from './backend.ts';
export { type KernelTable, nftTable } from './kernel.ts';
export { netlinkTable } from './netlink/index.ts';
export { islandChange, plansOf, tableOf, tableOfPlan, stateOf, type TableState } from './table.ts';
export { tableChange, type TableChange } from './change.ts';
export { commandAccess, flowAccess, type FlowAccess, netlinkAccess } from './flows/index.ts';
