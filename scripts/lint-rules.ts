// docs/lint.md from the table of lint rules.
//   node scripts/lint-rules.ts            exits 1 when docs/lint.md is not up to date
//   node scripts/lint-rules.ts --write    writes it
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ruleGroups, type LintRule } from '../policy/repository/rules.ts';

export const documentPath: string = join(import.meta.dirname, '../docs/lint.md');

export function renderLintRules(): string {
  const groups = Object.entries<Record<string, LintRule>>(ruleGroups);
  const all = groups.flatMap(([, rules]) => Object.values(rules));
  const errors = all.filter(({ severity }) => severity === 'error').length;
  return `# Lint rules

\`edgeward policy lint DIR\` prints every problem as \`file:line:column: severity RULE: message; fix\`, with \`--json\` one JSON
document, with \`--sarif\` one SARIF 2.1.0 log. An error stops build and publication and ends the command with 1; a warning is
printed, and ends it with 1 under \`--strict\`. \`edgeward policy lint --explain RULE\` prints one of the entries below.

A *waivable* rule can be excused by an entry in \`waivers/*.yaml\` with owner and end date (\`examples/policy/waivers/README.md\`);
what an edge would refuse or misread cannot. ${all.length} rules, ${errors} of them errors.

This file is written by \`node scripts/lint-rules.ts --write\` from the tables in \`policy/repository/rules/\`.
${groups.map(([group, rules]) => `\n## ${group}\n${Object.entries(rules).map(section).join('')}`).join('')}`;
}

function section([id, { severity, waivable, explanation, example, fix }]: [string, LintRule]): string {
  return `
### ${id}

*${severity}${waivable ? ', waivable' : ''}* – ${plain(explanation)}

- example: ${code(example)}
- fix: ${plain(fix)}
`;
}

const code = (text: string): string => (text.includes('`') ? text : `\`${text}\``);
/** Stars and angle brackets as themselves, not as Markdown. */
const plain = (text: string): string => text.replaceAll(/[*<_]/g, (sign) => `\\${sign}`);

if (process.argv[1] === import.meta.filename) {
  const wanted = renderLintRules();
  if (process.argv.includes('--write')) writeFileSync(documentPath, wanted);
  else if (readFileSync(documentPath, 'utf8') !== wanted) {
    process.stderr.write('docs/lint.md is not up to date; run: node scripts/lint-rules.ts --write\n');
    process.exitCode = 1;
  }
}
