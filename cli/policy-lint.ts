// edgeward policy lint [dir] [--strict] [--json | --sarif] | --explain ID
import type { Command } from 'commander';
import { cliErrors } from './errors.ts';
import { createIo, exitCodes } from './io.ts';
import { loadRooms, type Rooms } from './policy-rooms.ts';
import { version } from './version.ts';

interface LintOptions {
  readonly json: boolean;
  readonly sarif: boolean;
  readonly strict: boolean;
  readonly explain?: string;
}

/** Exit codes: 0 no error, 1 an error (with --strict a warning too), 2 usage. */
export function registerPolicyLint(policy: Command): void {
  policy
    .command('lint')
    .description(
      'check every file; problems are file:line:column with what was expected (docs/lint.md lists the rules)',
    )
    .argument('[dir]')
    .option('--strict', 'warnings fail too', false)
    .option('--explain <rule>', 'say what a rule is about, without looking at a repository')
    .option('--sarif', 'one SARIF 2.1.0 document on standard output', false)
    .option('--json', 'one JSON document on standard output', false)
    .action(async (directory: string | undefined, options: LintOptions) => {
      if (options.sarif && options.json) throw cliErrors.error('CLI_USAGE', '--sarif and --json exclude each other');
      if (options.explain !== undefined) {
        if (directory !== undefined) throw cliErrors.error('CLI_USAGE', '--explain takes a rule and no directory');
        await explain(options.explain, options.json);
      } else if (directory === undefined) throw cliErrors.error('CLI_USAGE', "missing required argument 'dir'");
      else await lint(directory, options);
    });
}

async function explain(rule: string, json: boolean): Promise<void> {
  const { explainRule, isRuleId, lintRules } = await loadRooms();
  const id = rule.toUpperCase();
  if (!isRuleId(id)) {
    throw cliErrors.error('CLI_USAGE', `there is no lint rule ${rule}`, { remedy: 'docs/lint.md lists all of them.' });
  }
  createIo(json).result({ id, ...lintRules[id] }, explainRule(id));
}

async function lint(directory: string, { json, sarif, strict }: LintOptions): Promise<void> {
  const rooms = await loadRooms();
  const tree = await rooms.readDirectory(directory);
  const loaded = rooms.loadRepository(tree, Date.now(), rooms.findRegoCompiler);
  if (loaded.repository !== undefined) await checkRunnable(loaded.repository);
  const report = rooms.lintReport(loaded, strict);
  const clean = loaded.problems.length === 0 && loaded.waived.length === 0;
  const human = clean ? `${directory}: no problems` : rooms.formatReport(loaded, tree);
  createIo(json || sarif).result(sarif ? rooms.sarifLog(loaded, tree, version) : report, human);
  if (!report.ok) process.exitCode = exitCodes.refused;
}

type Repository = NonNullable<ReturnType<Rooms['loadRepository']>['repository']>;

/** Detections and playbooks as the control plane will run them; throws with file and place. */
async function checkRunnable(repository: Repository): Promise<void> {
  const [{ createDetector }, { parsePlaybook }] = await Promise.all([
    import('../audit/detect/detector.ts'),
    import('../response/playbook.ts'),
  ]);
  createDetector(
    Object.fromEntries(Object.entries(repository.detections).map(([file, text]) => [`detections/${file}`, text])),
  );
  for (const [file, text] of Object.entries(repository.playbooks)) parsePlaybook(text, `playbooks/${file}`);
}
