// Rules about Rego packages.
import type { LintRule } from './lint-rule.ts';

export const regoRules = {
  POLICY_REGO: {
    severity: 'error',
    waivable: false,
    explanation:
      'opa refuses the package, one of its tests fails, or no edge could run it: syntax, a built-in function that the engine does not have, no rule decision, data beyond the bounds.',
    example: 'deny contains "late" if time.now_ns() > 0',
    fix: 'see the message; policy/engine/rego/README.md says what a package gets, answers and may call',
  },
  POLICY_REGO_UNAVAILABLE: {
    severity: 'error',
    waivable: false,
    explanation:
      'Rego is compiled on the machine that publishes, by one version of opa; without it nobody can say what a package decides.',
    example: 'rego/hours/hours.rego on a machine without opa',
    fix: 'install Go and run `npm run setup`, or name the pinned opa by EDGEWARD_OPA',
  },
  POLICY_REGO_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A Rego package narrows only the interfaces that name it; one that nobody names decides nothing.',
    example: 'rego/hours without an interface that says rego: hours',
    fix: 'name the package in an interface, or remove its folder',
  },
  POLICY_REGO_UNTESTED: {
    severity: 'warning',
    waivable: true,
    explanation: 'What a package denies shows only when it is asked; nobody would notice that it stopped denying.',
    example: 'rego/hours without a file that ends in _test.rego',
    fix: 'add a test that is denied and one that is allowed',
  },
} as const satisfies Record<string, LintRule>;
