// What it costs to compile a policy and to change it, in a process of its own that holds nothing else:
//   node --expose-gc bench/decide/compile-cost.ts < task.json       prints one CompileCost as JSON
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type CasbinModel, compileCasbin } from '../../policy/engine/casbin/casbin-model.ts';
import { percentile } from '../machine.ts';
import { corpusCsv, corpusModel, type CorpusRequest, type Link, makeCorpus, type Rule } from './corpus.ts';
import { handWrittenIndex } from './hand-written.ts';

export interface CompileCost {
  readonly lines: number;
  /** CPU milliseconds of every compilation, the first in a fresh process. */
  readonly compileMs: readonly number[];
  /** Of the first: heap and external memory held after a collection, policy.csv as far as it is held included. */
  readonly retainedMb: number;
  /** Resident set of the process at its highest until then, and before. */
  readonly peakRssMb: number;
  readonly startRssMb: number;
  /** CPU milliseconds of deltas that remove CHANGED_LINES lines and add as many others, one after the other. */
  readonly deltaMs: { readonly n: number; readonly mean: number; readonly p50: number; readonly p95: number };
  /** Requests that the policy after all deltas answers otherwise than a hand-written index of its lines, of how many. */
  readonly differences: number;
  readonly asked: number;
}

interface Task {
  /** Lines of policy.csv, and others that deltas add. */
  readonly lines: readonly string[];
  readonly spare: readonly string[];
  readonly requests: readonly CorpusRequest[];
  readonly compiles: number;
  readonly deltas: number;
}

/** The figure: a delta of 100 rules. */
export const CHANGED_LINES = 100;
const MB = 2 ** 20;

export function compileCost(lines: number, compiles: number, deltas: number): CompileCost {
  // A tenth more than is in force, every eleventh line of the corpus.
  const corpus = makeCorpus(Math.round(lines * 1.1), 5_000);
  const all = corpusCsv(corpus).split('\n');
  const task: Task = {
    lines: all.filter((_, index) => index % 11 !== 0),
    spare: all.filter((_, index) => index % 11 === 0),
    requests: corpus.requests,
    compiles,
    deltas,
  };
  const args = ['--expose-gc', '--disallow-code-generation-from-strings', import.meta.filename];
  const input = JSON.stringify(task);
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', input });
  if (status !== 0) throw new Error(`compile-cost.ts ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as CompileCost;
}

function measure({ lines, spare, requests, compiles, deltas }: Task): CompileCost {
  const startRssMb = process.memoryUsage.rss() / MB;
  const compileMs: number[] = [];
  const before = held();
  let retainedMb = 0;
  let peakRssMb = 0;
  let model: CasbinModel | undefined;
  for (let n = 0; n < compiles; n++) {
    model = undefined;
    globalThis.gc?.();
    const source = { model: corpusModel, policy: lines.join('\n'), modelFile: 'corpus.conf', policyFile: 'corpus.csv' };
    compileMs.push(cpuMs(() => (model = compileCasbin(source))));
    if (n > 0) continue;
    peakRssMb = process.resourceUsage().maxRSS / 1_024;
    // The caller drops the text; what the model still holds of it counts.
    source.policy = '';
    retainedMb = held() - before;
  }
  if (model === undefined) throw new Error('nothing was compiled');
  const changed = changeOften(model, lines, spare, deltas);
  const truth = handWrittenIndex({ ...readLines(changed.lines), requests: [] });
  return {
    lines: lines.length,
    compileMs,
    retainedMb,
    peakRssMb,
    startRssMb,
    deltaMs: changed.deltaMs,
    differences: requests.filter((request) => changed.model.enforce(request).allow !== truth(request)).length,
    asked: requests.length,
  };
}

/** Megabytes of heap and external memory after a collection. */
function held(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MB;
}

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

interface Changed {
  readonly model: CasbinModel;
  readonly lines: readonly string[];
  readonly deltaMs: CompileCost['deltaMs'];
}

/** Lines between two that a delta changes: all over the file, and never one line twice. */
const stride = 641;

/** Every delta swaps lines that are in force with lines that are not. */
function changeOften(first: CasbinModel, lines: readonly string[], spare: readonly string[], deltas: number): Changed {
  const inside = [...lines];
  const outside = [...spare];
  const seen: number[] = [];
  let model = first;
  for (let n = 0; n < deltas; n++) {
    const delta = { remove: [] as string[], add: [] as { text: string; line: number }[] };
    for (let line = 1; line <= CHANGED_LINES; line++) {
      // One of what was in force before this delta, for the one that has waited longest.
      const from = (n * CHANGED_LINES + line * stride) % inside.length;
      const text = outside.shift() ?? '';
      const old = inside[from] ?? '';
      inside[from] = text;
      outside.push(old);
      delta.remove.push(old);
      delta.add.push({ text, line });
    }
    const current = model;
    seen.push(cpuMs(() => (model = current.with(delta))));
  }
  const mean = seen.reduce((sum, ms) => sum + ms, 0) / seen.length;
  const deltaMs = { n: deltas, mean, p50: percentile(seen, 0.5) ?? 0, p95: percentile(seen, 0.95) ?? 0 };
  return { model, lines: inside, deltaMs };
}

/** The reverse of corpusCsv. */
function readLines(lines: readonly string[]): { rules: Rule[]; links: Link[] } {
  const rules: Rule[] = [];
  const links: Link[] = [];
  for (const text of lines) {
    const [kind, first = '', second = '', third = '', act = '', net = '', eft = ''] = text.split(', ');
    if (kind === 'g') links.push({ member: first, role: second, dom: third });
    else rules.push({ sub: first, dom: second, obj: third, act, net, eft: eft === 'deny' ? 'deny' : 'allow' });
  }
  return { rules, links };
}

if (process.argv[1] === import.meta.filename) {
  process.stdout.write(`${JSON.stringify(measure(JSON.parse(readFileSync(0, 'utf8')) as Task))}\n`);
}
