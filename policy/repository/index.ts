// The policy repository: reading, lint, tests, build and publication of one git commit.
export { coverTests, formatCoverage, type Branch, type CoverageReport } from './ask/coverage.ts';
export { explainQuestion, formatExplanation, type Flip, type Flips, type PolicyExplanation } from './ask/explain.ts';
export type { InvariantResult, Violation } from './ask/invariants.ts';
export { formatMutation, mutatePolicy, type MutationReport, type Survivor } from './ask/mutate.ts';
export { questionFor, type Wire } from './ask/question-for.ts';
export { readRecord, recordOf, type RecordedEvent } from './ask/recorded.ts';
export { formatReplay, replay, type ReplayReport } from './ask/replay.ts';
export { formatUnused, unusedGrants, type UnusedReport } from './ask/unused.ts';
export { formatWhoCan, whoCan, type Permission, type WhoCan } from './ask/who-can.ts';
export { buildSlices, slicesToAsk } from './build.ts';
export { decideWithEngine, type SliceEngine } from './decide.ts';
export { describeCommit, readCommit, type CommitTree, type GitSource } from './git-source.ts';
export { importFeed, type ImportedFeed } from './feed-import.ts';
export { loadRepository, type Loaded } from './load.ts';
export { formatProblem, isError, type Problem } from './problems.ts';
export {
  publish,
  sealRelease,
  type Publication,
  type PublicationClient,
  type PublishOptions,
  type PublishResult,
  type PublishStep,
  type SealedRelease,
  type SealRequest,
} from './publish.ts';
export { findRegoCompiler, type FindRegoCompiler } from './rego/compiler.ts';
export { formatRegoTests, runRegoTests, type RegoTestReport } from './rego/run-rego-tests.ts';
export type { Repository } from './repository.ts';
export { explainRule, formatReport, isRuleId, lintReport, type LintReport } from './report.ts';
export { lintRules, type LintRule, type RuleId } from './rules.ts';
export { formatTestReport, runPolicyTests, type TestReport, type TestResult } from './run-tests.ts';
export { sarifLog } from './sarif.ts';
export { scaffold, type ScaffoldOptions } from './scaffold.ts';
export { readDirectory, type PolicyTree } from './tree.ts';
