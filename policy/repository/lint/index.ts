// All lint passes, in the order of the rule table.
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';
import { lintAddresses, lintCidrs, lintPorts } from './addresses.ts';
import { lintAudit } from './audit.ts';
import { lintBounds } from './bounds.ts';
import { lintBreakGlass } from './break-glass.ts';
import { lintCasbin } from './casbin.ts';
import { lintDates } from './dates.ts';
import { lintAssumptions } from './denies.ts';
import { lintEnforcerDeath } from './enforcer-death.ts';
import { lintEntries } from './entries.ts';
import {
  lintBindings,
  lintPortLimits,
  lintReachability,
  lintSelfGrants,
  lintUntested,
  lintWriteOverAddress,
} from './grants.ts';
import { lintFeeds } from './feeds.ts';
import { lintFirewall } from './firewall.ts';
import { lintMqtt } from './mqtt.ts';
import { lintPaths } from './paths.ts';
import { lintRego } from './rego.ts';
import { lintPeriods } from './periods.ts';
import { lintFirewalledGrants, lintRedundantFirewall } from './redundant-firewall.ts';
import { lintRedundantRules } from './redundant-rules.ts';
import { lintUnused } from './unused.ts';
import { applyWaivers } from './waivers.ts';
import { lintWide } from './wide.ts';

/** Adds every problem of the repository. `now` in milliseconds since the epoch, for end dates. */
export function lint(repository: Repository, problems: Problems, now: number): void {
  lintAddresses(repository, problems);
  lintPorts(repository, problems);
  lintCidrs(repository, problems);
  lintPaths(repository, problems);
  lintBounds(repository, problems);
  lintMqtt(repository, problems);
  lintEntries(repository, problems);
  lintCasbin(repository, problems);
  lintRego(repository, problems);
  lintDates(repository, problems, now);
  lintEnforcerDeath(repository, problems);
  lintPeriods(repository, problems, now);
  lintAssumptions(repository, problems);
  lintSelfGrants(repository, problems);
  lintBindings(repository, problems);
  lintWriteOverAddress(repository, problems);
  lintPortLimits(repository, problems);
  lintBreakGlass(repository, problems);
  lintReachability(repository, problems);
  lintRedundantRules(repository, problems);
  lintFirewall(repository, problems);
  lintFeeds(repository, problems, now);
  lintRedundantFirewall(repository, problems);
  lintFirewalledGrants(repository, problems);
  lintWide(repository, problems);
  lintAudit(repository, problems);
  lintUntested(repository, problems);
  lintUnused(repository, problems);
  applyWaivers(repository, problems, now);
}
