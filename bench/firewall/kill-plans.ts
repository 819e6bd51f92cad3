// The plans that kill-agent.ts applies in turn, by epoch. Both grant peers 0 to 99 the service and deny everybody the closed
// port; each grants fifty peers of its own, and has other rules than the other.
import type { FirewallPlan } from '../../enforcer/firewall/index.ts';
import { otherRules, planOfPeers } from './world.ts';

export const GRANTED = 100;
const OF_ONE = 50;

export const killPlan = (epoch: number): FirewallPlan =>
  planOfPeers({
    peers: GRANTED + (epoch % 2 === 0 ? 0 : OF_ONE),
    epoch,
    bundle: epoch,
    firewall: epoch % 2 === 0 ? [] : otherRules,
    services: ['telemetry'],
  });
