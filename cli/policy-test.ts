// edgeward policy test
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { createIo, exitCodes, type Io } from './io.ts';
import { wholeNumber } from './options.ts';
import { loadRooms, mustLoad, type Rooms } from './policy-rooms.ts';

interface Options {
  readonly json: boolean;
  readonly coverage: boolean;
  readonly minCoverage?: number;
  readonly mutate: boolean;
  readonly minScore?: number;
  readonly replay?: string;
}

type Repository = ReturnType<typeof mustLoad>;

const percent = wholeNumber(0, 100);

export function registerPolicyTest(policy: Command): void {
  policy
    .command('test')
    .description('run the tests of the repository against the engine that the edges run')
    .argument('<dir>')
    .option('--coverage', 'say which rules, conditions, operations and states the tests exercised', false)
    .option('--min-coverage <percent>', 'fail below this coverage; implies --coverage', percent)
    .option('--mutate', 'make small mistakes in the policy and list those that no test notices', false)
    .option('--min-score <percent>', 'fail below this mutation score; implies --mutate', percent)
    .option('--replay <file>', 'also ask the decisions recorded in an exported log again; fixtures/ always are')
    .option('--json', 'one JSON document on standard output', false)
    .action(async (directory: string, options: Options) => {
      const rooms = await loadRooms();
      const repository = mustLoad(rooms, await rooms.readDirectory(directory));
      const io = createIo(options.json);
      const { ok, document, lines } = runAll(rooms, repository, options, io);
      io.result(document, lines.join('\n'));
      if (!ok) process.exitCode = exitCodes.refused;
    });
}

function runAll(rooms: Rooms, repository: Repository, options: Options, io: Io) {
  // A whole minute, so that a test to paste reads well.
  const now = Math.ceil(Date.now() / 60_000) * 60_000;
  const engine = rooms.decideWithEngine();
  const report = rooms.runPolicyTests(repository, engine, now);
  const rego = rooms.runRegoTests(repository, rooms.findRegoCompiler);
  const lines = [rooms.formatTestReport(report), rooms.formatRegoTests(rego)].filter((text) => text !== '');
  let ok = report.ok && rego.ok;
  const atLeast = (what: string, found: number, wanted: number | undefined): void => {
    if (wanted === undefined || found >= wanted) return;
    ok = false;
    lines.push(`FAILED   ${what} is ${found} %, expected at least ${wanted} %`);
  };
  const replayed = replayAll(rooms, repository, engine, options.replay);
  if (replayed !== undefined) {
    lines.push(rooms.formatReplay(replayed));
    ok &&= replayed.ok;
  }
  const covered = options.coverage || options.minCoverage !== undefined;
  const coverage = covered ? rooms.coverTests(repository, engine, now) : undefined;
  if (coverage !== undefined) {
    lines.push(rooms.formatCoverage(coverage));
    atLeast('coverage', coverage.percent, options.minCoverage);
  }
  // What a failing test fails to notice says nothing.
  const mutated = report.ok && (options.mutate || options.minScore !== undefined);
  const mutation = mutated
    ? rooms.mutatePolicy(repository, now, (done, total) => {
        if (done % 25 === 0) io.note(`${done} of ${total} mistakes made …`);
      })
    : undefined;
  if (mutation !== undefined) {
    lines.push(rooms.formatMutation(mutation));
    atLeast('mutation score', mutation.score, options.minScore);
  } else if (options.mutate) lines.push('no mistakes made: the tests have to pass first');
  return { ok, lines, document: { ...report, ok, rego, replay: replayed, coverage, mutation } };
}

function replayAll(
  rooms: Rooms,
  repository: Repository,
  engine: ReturnType<Rooms['decideWithEngine']>,
  file: string | undefined,
) {
  const given = file === undefined ? [] : [{ path: file, text: readFileSync(file, 'utf8') }];
  const recorded = [...repository.fixtures, ...given];
  if (recorded.length === 0) return undefined;
  const events = recorded.flatMap(({ path, text }) => rooms.readRecord(text, path));
  return rooms.replay(repository, engine, rooms.recordOf(events).decisions);
}
