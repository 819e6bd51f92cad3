// No plan is tried that would cut this host from its control plane.
import { firewallErrors } from './errors.ts';
import { controlPlaneCut } from './judge.ts';
import type { ControlEndpoint, FirewallPlan } from './plan.ts';

export function mustReach(plan: FirewallPlan, endpoints: readonly ControlEndpoint[]): void {
  for (const endpoint of endpoints) {
    const cut = controlPlaneCut(plan, endpoint);
    if (cut === undefined) continue;
    const place = `${endpoint.transport} ${endpoint.address} port ${endpoint.port}`;
    const { rule, path } = cut.verdict;
    const chains = path.map(({ chain, index }) => `${chain} rule ${index + 1}`).join(', ');
    throw firewallErrors.error(
      'FIREWALL_CUTS_CONTROL_PLANE',
      `the plan would cut the control plane at ${place}: its ${cut.packet} ends at ${rule || 'the policy of the hook'} (${chains})`,
    );
  }
}
