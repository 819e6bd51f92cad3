// Casbin models and policies: every fault of every line by its own rule, then what the lines mean together. The
// engine's own strict compiler has the last word: what an edge would refuse is a problem before it is published.
import { CodedError } from '../../../runtime/errors.ts';
import { compileCasbin } from '../../engine/casbin/casbin-model.ts';
import type { Problems, Report } from '../problems.ts';
import type { CasbinModel, Repository } from '../repository.ts';
import { isErrorRule } from '../rules.ts';
import { lintColumns } from './casbin/column-rules.ts';
import { lintInclusion } from './casbin/inclusion-rules.ts';
import { lintIgnoredEffects, lintLines } from './casbin/line-rules.ts';
import { lintMatcher } from './casbin/matcher-rules.ts';
import { lintModelFile } from './casbin/model-rules.ts';
import { scanPolicy, type ScannedLine } from './casbin/policy-scan.ts';
import { lintReach } from './casbin/reach-rules.ts';
import { roleGraph } from './casbin/role-graph.ts';
import { lintRoles } from './casbin/role-rules.ts';

export function lintCasbin(repository: Repository, problems: Problems): void {
  const used = new Set(repository.interfaces.map((entry) => entry.casbin));
  for (const model of repository.casbin) {
    lintModel(model, repository, problems);
    if (used.has(model.name)) continue;
    problems.add('POLICY_CASBIN_UNUSED', { file: model.files.model }, `no interface says casbin: ${model.name}`);
  }
}

function lintModel(source: CasbinModel, repository: Repository, problems: Report): void {
  const { files } = source;
  const found = new Reported(problems);
  const shape = lintModelFile(source.model, files.model, found);
  const scanned = scanPolicy(source.policy, files.policy);
  const lines = lintLines(scanned, shape, files.policy, found);
  lintIgnoredEffects(lines, shape, found);
  const compiles = refusal(source, '') === undefined;
  const expression = lintMatcher(shape, compiles, repository.attributes, found);
  if (shape.model !== undefined && expression !== undefined) {
    const { model } = shape;
    const groups = Map.groupBy(lines, ({ kind }) => kind);
    const roles = new Map([...model.roles.keys()].map((name) => [name, roleGraph(groups.get(name) ?? [])]));
    const devices = new Set(repository.devices.map(({ id }) => id));
    lintColumns(lines, expression, model, repository.attributes, found);
    lintRoles(lines, expression, model, roles, devices, found);
    if (refusal(source, source.policy) === undefined) {
      lintInclusion({ model, lines, expression, roles }, found);
      lintReach({ model, lines, expression, roles, name: source.name, repository }, found);
    }
  }
  lintRefusals(source, scanned, compiles, found);
}

/** What the engine refuses and no rule above has named: the whole, and where that fails each line alone. */
function lintRefusals(source: CasbinModel, lines: readonly ScannedLine[], compiles: boolean, found: Reported): void {
  const whole = refusal(source, source.policy);
  if (whole === undefined) return;
  const add = ({ place, message }: CodedError): void => {
    const at = place ?? { file: source.files.model };
    if (!found.hasError(at.file, at.line)) found.add('CASBIN_REFUSED', at, message);
  };
  const { files } = source;
  const rows = source.policy.split('\n');
  if (compiles) {
    for (const { line, place } of lines) {
      if (found.hasError(place.file, line)) continue;
      const alone = refusal(source, rows[line - 1] ?? '');
      if (alone !== undefined)
        add(alone.place?.file === files.policy ? new CodedError(alone.code, alone, alone.message, { place }) : alone);
    }
  }
  if (!found.anyError || whole.place?.line !== undefined) add(whole);
}

function refusal({ model, files }: CasbinModel, policy: string): CodedError | undefined {
  try {
    compileCasbin({ model, policy, modelFile: files.model, policyFile: files.policy });
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}

/** Passes problems on and remembers which lines have an error. */
class Reported implements Report {
  readonly #problems: Report;
  readonly #places = new Set<string>();

  constructor(problems: Report) {
    this.#problems = problems;
  }

  get anyError(): boolean {
    return this.#places.size > 0;
  }

  add: Report['add'] = (rule, place, message) => {
    if (isErrorRule(rule)) this.#places.add(`${place.file}:${place.line ?? ''}`);
    this.#problems.add(rule, place, message);
  };

  hasError(file: string, line: number | undefined): boolean {
    return this.#places.has(`${file}:${line ?? ''}`);
  }
}
