// SARIF 2.1.0 (OASIS), the format code hosts read findings in: every rule, one result a problem with its region, and a
// fingerprint of rule, file and text of the line, so that a finding stays the same when lines above it come and go.
import { createHash } from 'node:crypto';
import type { Problem, WaivedProblem } from './problems.ts';
import { sourceLines, type LintFindings } from './report.ts';
import { lintRules, ruleGroups } from './rules.ts';
import type { LintRule } from './rules.ts';
import type { PolicyTree } from './tree.ts';

const schema = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';

/** One SARIF log with one run. `version` of the tool, e.g. `0.1.0`. */
export function sarifLog(findings: LintFindings, tree: PolicyTree, version: string): object {
  const ids = Object.keys(lintRules);
  const fingerprint = fingerprints(tree);
  const result = (problem: Problem | WaivedProblem): object => {
    const { file, line, column } = problem.place;
    return {
      ruleId: problem.rule,
      ruleIndex: ids.indexOf(problem.rule),
      level: problem.severity,
      message: { text: `${problem.message}; ${lintRules[problem.rule].fix}` },
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: encodeURI(file), uriBaseId: '%SRCROOT%' },
            region: { startLine: line, startColumn: column },
          },
        },
      ],
      partialFingerprints: { 'edgewardPolicyLint/v1': fingerprint(problem) },
      ...('waiver' in problem ? { suppressions: [suppression(problem.waiver)] } : {}),
    };
  };
  return {
    $schema: schema,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'edgeward policy lint', semanticVersion: version, rules: rules() } },
        columnKind: 'utf16CodeUnits',
        results: [...findings.problems, ...findings.waived].map(result),
      },
    ],
  };
}

function rules(): object[] {
  return Object.entries(ruleGroups).flatMap(([group, table]) =>
    Object.entries<LintRule>(table).map(([id, { severity, waivable, explanation, example, fix }]) => ({
      id,
      shortDescription: { text: explanation },
      help: { text: `Example: ${example}\nFix: ${fix}` },
      defaultConfiguration: { level: severity },
      properties: { tags: [group], waivable },
    })),
  );
}

function suppression({ id, owner, reason, until }: WaivedProblem['waiver']): object {
  const day = new Date(until).toISOString();
  return { kind: 'external', status: 'accepted', justification: `waiver ${id} of ${owner} until ${day}: ${reason}` };
}

function fingerprints(tree: PolicyTree): (problem: Problem) => string {
  const linesOf = sourceLines(tree);
  const seen = new Map<string, number>();
  return ({ rule, place: { file, line } }) => {
    const text = linesOf(file)?.[line - 1]?.trim() ?? '';
    const key = JSON.stringify([rule, file, text]);
    // The same line twice, or two findings on one line, are told apart by their order.
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    return createHash('sha256').update(`${key}${nth}`).digest('hex');
  };
}
