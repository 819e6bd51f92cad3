// A Casbin model with its policy, compiled: enforce() answers what node-casbin would, except where that would be less
// safe (README.md lists every divergence). Immutable: a reload or a delta makes a new one aside, nothing is ever cleared.
import { engineErrors } from '../errors.ts';
import { MAX_CASBIN_LINES } from '../limits.ts';
import type { Asked } from './line-test.ts';
import { Lines } from './lines.ts';
import { parseModelFile } from './model-file.ts';
import { parsePolicyFile, parsePolicyLine, type PolicyFile } from './policy-file.ts';
import { Program } from './program.ts';
import type { RequestShape } from './request-shape.ts';
import { type Edit, Roles } from './roles.ts';
import { TooMuchWork, withinWork } from './work.ts';
import { Search } from './search.ts';
import type { CasbinValue } from './value.ts';
import { WayIndex } from './way-index.ts';

export interface CasbinSource {
  readonly model: string;
  readonly policy: string;
  /** Names for errors and explanations, e.g. `casbin/scada/model.conf`. */
  readonly modelFile: string;
  readonly policyFile: string;
}

export type CasbinVerdict =
  /** `line` of policy.csv decided; 0 when the absence of a deny did. */
  | { readonly allow: true; readonly line: number }
  | {
      readonly allow: false;
      readonly line: number;
      readonly why: 'denied' | 'no-line' | 'empty-policy' | 'unusable-request' | 'too-many-steps';
    };

/** A line as it stands in policy.csv, and where, from 1. */
export interface NumberedLine {
  readonly text: string;
  readonly line: number;
}

export interface CasbinDelta {
  /** Of lines that are equal the one at the number goes, else the one added last. */
  readonly remove?: readonly (string | NumberedLine)[];
  /** Lines from this number on stand so many further down (negative: up) now. Counts before `add`. */
  readonly renumber?: { readonly from: number; readonly by: number };
  /** They come after the lines that are there. */
  readonly add?: readonly NumberedLine[];
}

export interface CasbinModel {
  /** Names of the request's fields, in order. */
  readonly request: readonly string[];
  readonly policyFile: string;
  /**
   * Lines mean the same wherever they stand and whatever stood beside them: no priorities, and no rules of their own, which
   * say what the fields of a request are.
   */
  readonly mendable: boolean;
  /** Deltas left so many texts behind that compiling anew is worth its time. */
  readonly worn: boolean;
  /** Values in the order of `request`. Never throws for values of these types; what is not usable is denied. */
  readonly enforce: (values: readonly CasbinValue[]) => CasbinVerdict;
  /**
   * The model with some lines fewer and more; this one stays as it is. What rules (eval) of lines that are gone said of
   * the request's fields goes on being asked of requests. Costs what changes, and a copy of the tables.
   * Throws ENGINE_CASBIN_* when a line is wrong or one to remove is not there; then nothing has changed.
   */
  readonly with: (delta: CasbinDelta) => CasbinModel;
}

/** Throws a CodedError ENGINE_CASBIN_* with file and line for what is wrong or not supported. */
export function compileCasbin(source: CasbinSource): CasbinModel {
  const model = parseModelFile(source.model, source.modelFile);
  const program = new Program(model, source.policyFile);
  const policy = parsePolicyFile(source.policy, source.policyFile, model);
  const state = emptyState(program, policy.lines.length);
  change(program, state, { removed: { lines: [], roles: [] }, renumber: undefined, added: policy });
  return new CompiledModel(program, state, program.texts.size);
}

/** One version of the policy. Written to only while it is made. */
interface State {
  readonly lines: Lines;
  readonly shape: RequestShape;
  readonly allows: readonly WayIndex[];
  readonly denies: readonly WayIndex[];
}

function emptyState(program: Program, capacity: number): State {
  const { model, texts } = program;
  const roles = [...model.roles.keys()].map(() => Roles.empty());
  return {
    lines: new Lines(
      texts,
      roles,
      {
        columns: model.policy.length,
        patternsPerLine: program.patternsPerLine,
        ordered: model.effect === 'priority',
      },
      capacity,
    ),
    shape: program.shape.copy(),
    allows: program.plans(true).map((plan) => WayIndex.empty(plan)),
    denies: program.plans(false).map((plan) => WayIndex.empty(plan)),
  };
}

/** What a change does not touch is shared. */
function copyState(state: State, { removed, added }: Change): State {
  const lines = [...removed.lines, ...added.lines];
  const touched = (allow: boolean, ways: readonly WayIndex[]): readonly WayIndex[] =>
    lines.some((line) => line.allow === allow) ? ways.map((way) => way.copy()) : ways;
  const links = removed.roles.length + added.roles.length > 0;
  const { roles } = state.lines;
  return {
    lines: state.lines.copy(links ? roles.map((one) => one.copy()) : roles),
    shape: state.shape.copy(),
    allows: touched(true, state.allows),
    denies: touched(false, state.denies),
  };
}

interface Change {
  readonly removed: PolicyFile;
  readonly renumber: CasbinDelta['renumber'];
  readonly added: PolicyFile;
}

/** Everything is parsed by now; what is still wrong throws, and the state that was begun is dropped. */
function change(program: Program, state: State, { removed, renumber, added }: Change): void {
  const { model, texts, policyFile } = program;
  const { lines, shape } = state;
  const edit: Edit = {};
  const asked: Asked = { values: [], numbers: noNumbers, lines };
  const kinds = [...model.roles.keys()];
  const rolesOf = (kind: string): Roles | undefined => lines.roles[kinds.indexOf(kind)];
  for (const { kind, member, role, domain, line } of removed.roles) {
    const found = rolesOf(kind)?.unlink(
      texts.numberOf(member),
      texts.numberOf(role),
      domain === '' ? 0 : texts.numberOf(domain),
      edit,
    );
    if (found !== true) throw missing(policyFile, line, [kind, member, role, domain]);
  }
  for (const { kind, member, role, domain } of added.roles) {
    rolesOf(kind)?.link(texts.add(member), texts.add(role), domain === '' ? 0 : texts.add(domain), edit);
  }
  for (const roles of lines.roles) roles.close(texts, policyFile);
  for (const { values, line } of removed.lines) {
    const index = lines.find(program.row(values), line);
    if (index === undefined) throw missing(policyFile, line, ['p', ...values]);
    for (const way of lines.allows(index) ? state.allows : state.denies) way.remove(index, asked, edit);
    lines.remove(index);
  }
  if (renumber !== undefined) lines.renumber(renumber.from, renumber.by);
  for (const parsed of added.lines) {
    const index = lines.add(program.line(parsed, shape));
    for (const way of parsed.allow ? state.allows : state.denies) way.add(index, asked, edit);
  }
  if (lines.count <= MAX_CASBIN_LINES) return;
  throw engineErrors.error('ENGINE_CASBIN_TOO_LARGE', `more than ${MAX_CASBIN_LINES} lines`, {
    place: { file: policyFile },
  });
}

/** Stands for a line whose number was not said. */
const ANY_LINE = 0;
const noNumbers = new Uint32Array(0);
/** Texts of old versions that nobody minds: a few megabytes. */
const spareTexts = 50_000;

const missing = (file: string, line: number, columns: readonly string[]): Error =>
  engineErrors.error(
    'ENGINE_CASBIN_POLICY',
    `there is no line "${columns.filter((text) => text !== '').join(', ')}" to remove`,
    {
      place: line === ANY_LINE ? { file } : { file, line },
    },
  );

class CompiledModel implements CasbinModel {
  readonly #program: Program;
  readonly #state: State;
  /** Of the request that is being judged; nothing is judged while another request is. Made once, to make no garbage. */
  readonly #numbers: Uint32Array;
  readonly #asked: { -readonly [Key in keyof Asked]: Asked[Key] };
  readonly #allowSearch: Search;
  readonly #denySearch: Search;

  /** Texts there were when the model was compiled whole. */
  readonly #firstTexts: number;

  constructor(program: Program, state: State, firstTexts: number) {
    this.#program = program;
    this.#firstTexts = firstTexts;
    this.#state = state;
    this.#numbers = new Uint32Array(program.model.request.length);
    this.#asked = { values: [], numbers: this.#numbers, lines: state.lines };
    const ordered = program.model.effect === 'priority';
    this.#allowSearch = new Search(this.#asked, ordered);
    this.#denySearch = new Search(this.#asked, ordered);
  }

  get request(): readonly string[] {
    return this.#program.model.request;
  }

  get mendable(): boolean {
    return this.#program.model.effect !== 'priority' && !this.#program.hasRules;
  }

  get worn(): boolean {
    return this.#program.texts.size > 2 * this.#firstTexts + spareTexts;
  }

  get policyFile(): string {
    return this.#program.policyFile;
  }

  enforce = (values: readonly CasbinValue[]): CasbinVerdict => {
    const { lines, shape } = this.#state;
    // Empty equals missing in the reference, and an empty policy allows what a bug leaves empty (faults 1 and 14).
    if (lines.count === 0) return denied(0, 'empty-policy');
    if (!shape.read(values, lines.texts, this.#numbers)) return denied(0, 'unusable-request');
    this.#asked.values = values;
    try {
      return withinWork(this.#judge);
    } catch (error) {
      if (error instanceof TooMuchWork) return denied(0, 'too-many-steps');
      throw error;
    }
  };

  with = (delta: CasbinDelta): CasbinModel => {
    const added = this.#parse(delta.add ?? []);
    const removed = this.#parse(
      (delta.remove ?? []).map((entry) => (typeof entry === 'string' ? { text: entry, line: ANY_LINE } : entry)),
    );
    const changes = { removed, renumber: delta.renumber, added };
    const state = copyState(this.#state, changes);
    change(this.#program, state, changes);
    return new CompiledModel(this.#program, state, this.#firstTexts);
  };

  readonly #judge = (): CasbinVerdict => {
    const { effect } = this.#program.model;
    const { allows, denies, lines } = this.#state;
    if (effect === 'allow-override') return this.#allowed(this.#find(allows, this.#allowSearch));
    const deny = this.#find(denies, this.#denySearch);
    const denying = deny.found;
    if (denying !== undefined && effect !== 'priority') return denied(lines.lineNumber(denying), 'denied');
    if (effect === 'deny-override') return allowed(0);
    const allow = this.#find(allows, this.#allowSearch);
    return denying !== undefined && deny.foundOrder < allow.foundOrder
      ? denied(lines.lineNumber(denying), 'denied')
      : this.#allowed(allow);
  };

  #allowed({ found }: Search): CasbinVerdict {
    return found === undefined ? denied(0, 'no-line') : allowed(this.#state.lines.lineNumber(found));
  }

  #find(ways: readonly WayIndex[], search: Search): Search {
    search.restart();
    for (const way of ways) {
      way.search(search);
      if (search.done) break;
    }
    return search;
  }

  #parse(lines: readonly NumberedLine[]): PolicyFile {
    const parsed = lines.map(({ text, line }) =>
      parsePolicyLine(text, line, this.#program.policyFile, this.#program.model),
    );
    return {
      lines: parsed.flatMap((line) => (line !== undefined && 'values' in line ? [line] : [])),
      roles: parsed.flatMap((line) => (line !== undefined && 'kind' in line ? [line] : [])),
    };
  }
}

const allowed = (line: number): CasbinVerdict => ({ allow: true, line });

function denied(line: number, why: Extract<CasbinVerdict, { allow: false }>['why']): CasbinVerdict {
  return { allow: false, line, why };
}
