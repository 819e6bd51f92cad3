// What model.conf alone decides, compiled once and shared by every version of its policy: the ways in which the matcher
// comes true, in both readings, and what they need of each line.
import { engineErrors } from '../errors.ts';
import { MAX_REGEX_SIZE_TOGETHER } from '../limits.ts';
import { compileExpression, type Compilation, type LineTest, numericColumn } from './line-test.ts';
import type { PatternCall, RuleCall } from './line-test.ts';
import { waysOf, type Reading } from './literals.ts';
import type { Matches, NewLine } from './lines.ts';
import { type Expression, matcherError, parseExpression, parseMatcher, valuesOf } from './matcher-syntax.ts';
import type { ModelFile, TextSource } from './model-file.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import type { PolicyLine } from './policy-file.ts';
import { RequestShape } from './request-shape.ts';
import { Texts } from './texts.ts';
import { planScan, planWay } from './way-plan.ts';
import type { WayPlan } from './way-index.ts';

interface ReadingProgram {
  readonly plans: readonly WayPlan[];
  readonly patterns: readonly PatternCall[];
  readonly rules: readonly RuleCall[];
}

export class Program {
  readonly model: ModelFile;
  readonly policyFile: string;
  readonly texts = new Texts();
  readonly shape: RequestShape;
  readonly #readings: Readonly<Record<Reading, ReadingProgram>>;
  readonly #numericColumns = new Set<number>();
  /** By function, then by the number of the pattern's text. */
  readonly #patterns = new Map<string, (Pattern | undefined)[]>();
  #regexSize = 0;

  constructor(model: ModelFile, policyFile: string) {
    this.model = model;
    this.policyFile = policyFile;
    this.shape = new RequestShape(model.request);
    const expression = parseMatcher(model);
    if (!readsPolicy(expression)) {
      throw matcherError(
        model.matcher,
        0,
        'the matcher never looks at p, so no line of the policy could decide anything',
      );
    }
    this.#readings = { sure: this.#compile(expression, 'sure'), possible: this.#compile(expression, 'possible') };
  }

  /** How many patterns a line has at most. */
  get patternsPerLine(): number {
    return Math.max(this.#readings.sure.patterns.length, this.#readings.possible.patterns.length);
  }

  /** Whether lines bring expressions of their own (eval). */
  get hasRules(): boolean {
    return this.#readings.sure.rules.length > 0;
  }

  /** Of allow lines the sure reading, of deny lines the possible one. */
  plans(allow: boolean): readonly WayPlan[] {
    return this.#reading(allow).plans;
  }

  /** Compiles what is the line's own. Throws ENGINE_CASBIN_* with its place. */
  line({ line, values, allow, priority }: PolicyLine, shape: RequestShape): NewLine {
    const { patterns, rules } = this.#reading(allow);
    for (const column of this.#numericColumns) numericColumn(values[column] ?? '', line, this.policyFile);
    return {
      row: values.map((value) => this.texts.add(value)),
      line,
      allow,
      priority,
      patterns: patterns.map((call) => this.#matches(call, values, line)),
      rules: rules.length === 0 ? nothing : rules.map((call) => this.#rule(call, values, line, shape)),
    };
  }

  /** Numbers of the columns' texts, for a line that is there already. */
  row(values: readonly string[]): number[] {
    return values.map((value) => this.texts.numberOf(value));
  }

  #reading(allow: boolean): ReadingProgram {
    return this.#readings[allow ? 'sure' : 'possible'];
  }

  #compile(expression: Expression, reading: Reading): ReadingProgram {
    const compilation = this.#compilation(this.model.matcher, reading, this.shape);
    const ways = waysOf(expression);
    const plans =
      ways === undefined
        ? [planScan(compileExpression(expression, compilation))]
        : ways.map((way) => planWay(way, compilation, (call, text) => this.#pattern(call.name, text, unplaced)));
    return { plans, patterns: compilation.patterns, rules: compilation.rules ?? [] };
  }

  #compilation(source: TextSource, reading: Reading, shape: RequestShape): Compilation {
    return {
      model: this.model,
      source,
      reading,
      texts: this.texts,
      shape,
      patterns: [],
      rules: [],
      numericColumns: this.#numericColumns,
      pattern: (call, text) =>
        this.#pattern(call.name, text, (message) => matcherError(source, call.pattern.at, message))[call.reading],
    };
  }

  #matches(call: PatternCall, values: readonly string[], line: number): Matches {
    const text = call.pattern.kind === 'policy' ? (values[call.pattern.column] ?? '') : call.pattern.text;
    const place = { file: this.policyFile, line };
    return this.#pattern(call.name, text, (message) => engineErrors.error('ENGINE_CASBIN_POLICY', message, { place }))[
      call.reading
    ];
  }

  #pattern(name: string, text: string, fail: (message: string) => Error): Pattern {
    let patterns = this.#patterns.get(name);
    if (patterns === undefined) this.#patterns.set(name, (patterns = []));
    const number = this.texts.add(text);
    const known = patterns[number];
    if (known !== undefined) return known;
    const pattern = compilePattern(name, text, fail);
    this.#regexSize += pattern.size ?? 0;
    if (this.#regexSize > MAX_REGEX_SIZE_TOGETHER) {
      throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', 'the regexes are too large together', {
        place: { file: this.policyFile },
      });
    }
    patterns[number] = pattern;
    return pattern;
  }

  #rule(call: RuleCall, values: readonly string[], line: number, shape: RequestShape): LineTest {
    const text = values[call.column] ?? '';
    const source: TextSource = { text, placeAt: () => ({ file: this.policyFile, line }) };
    const compilation = {
      ...this.#compilation(source, call.reading, shape),
      rules: undefined,
      // What is no number in a rule is unknown; the other lines are not concerned.
      numericColumns: new Set<number>(),
    };
    return compileExpression(parseExpression(this.model, source), compilation);
  }
}

const nothing: readonly never[] = [];

const unplaced = (message: string): Error => new Error(`a pattern that was compiled before: ${message}`);

function readsPolicy(expression: Expression): boolean {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return expression.terms.some(readsPolicy);
    case 'not':
      return readsPolicy(expression.term);
    case 'equal':
    case 'order':
    case 'in':
    case 'truth':
    case 'call':
      return valuesOf(expression).some(({ kind }) => kind === 'policy');
  }
}
