// Everything `policy lint` can say, as one table: id, severity, whether it can be waived, why it is a rule, what triggers
// it, how to mend it. docs/lint.md is written from it. An error stops build and publication; a warning is printed.
import { casbinModelRules } from './rules/casbin-model-rules.ts';
import { casbinLineRules, casbinMeaningRules, casbinPatternRules } from './rules/casbin-policy-rules.ts';
import type { LintRule } from './rules/lint-rule.ts';
import { firewallRules } from './rules/firewall-rules.ts';
import { boundRules } from './rules/bound-rules.ts';
import { mqttRules } from './rules/mqtt-rules.ts';
import { regoRules } from './rules/rego-rules.ts';
import { meaningRules } from './rules/meaning-rules.ts';
import { repositoryRules } from './rules/repository-rules.ts';

export type { LintRule } from './rules/lint-rule.ts';

/** By what they are about, in the order of docs/lint.md. */
export const ruleGroups = {
  'The repository': repositoryRules,
  'The repository: what rules mean together, and what nothing uses': meaningRules,
  'The repository: packet rules and threat feeds': firewallRules,
  'The repository: bounds of operations, and what proxies do': boundRules,
  'The repository: MQTT': mqttRules,
  'Casbin: model.conf': casbinModelRules,
  'Casbin: lines of policy.csv': casbinLineRules,
  'Casbin: patterns': casbinPatternRules,
  'Casbin: what the lines mean together': casbinMeaningRules,
  'Rego packages': regoRules,
} as const satisfies Record<string, Record<string, LintRule>>;

export const lintRules = {
  ...repositoryRules,
  ...meaningRules,
  ...firewallRules,
  ...boundRules,
  ...mqttRules,
  ...casbinModelRules,
  ...casbinLineRules,
  ...casbinPatternRules,
  ...casbinMeaningRules,
  ...regoRules,
} as const satisfies Record<string, LintRule>;

export type RuleId = keyof typeof lintRules;

/** Whether the rule stops build and publication. */
export function isErrorRule(rule: RuleId): boolean {
  return lintRules[rule].severity === 'error';
}
