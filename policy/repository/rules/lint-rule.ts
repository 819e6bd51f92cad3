// What the lint table says about each rule.

export interface LintRule {
  /** An error stops build and publication; a warning is printed, and fails `policy lint --strict`. */
  readonly severity: 'error' | 'warning';
  /** Whether a waiver with owner and end date can excuse it. Never where an edge would refuse or misread the policy. */
  readonly waivable: boolean;
  readonly explanation: string;
  /** A line that triggers the rule. */
  readonly example: string;
  readonly fix: string;
}
