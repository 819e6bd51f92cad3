// Every fault of model.conf, each at its own definition: each one is put into an otherwise correct model and given to
// the engine's parser, so that one fault does not hide the next and nothing is judged twice.
import { CodedError } from '../../../../runtime/errors.ts';
import { casbinFields } from '../../../engine/casbin-request.ts';
import { parseModelFile, type ModelFile } from '../../../engine/casbin/model-file.ts';
import { nearest } from '../../nearest.ts';
import type { Report } from '../../problems.ts';
import { scanModel, type ScannedDefinition, type ScannedModel } from './model-scan.ts';

const sections = ['request_definition', 'policy_definition', 'role_definition', 'policy_effect', 'matchers'] as const;
const keys = { request_definition: 'r', policy_definition: 'p', policy_effect: 'e', matchers: 'm' } as const;

/** What the other rules need to know of the model, as far as it could be read. */
export interface ModelShape {
  /** Columns of `p`; undefined where p is missing or wrong. */
  readonly policy: readonly string[] | undefined;
  /** Columns by role definition. */
  readonly roles: ReadonlyMap<string, number>;
  /** Whether every role definition was readable, so that an unknown line type is one. */
  readonly rolesComplete: boolean;
  readonly roleDefinitions: ReadonlyMap<string, ScannedDefinition>;
  /** The whole model; absent when one of its definitions is wrong. The matcher may still be. */
  readonly model: ModelFile | undefined;
  readonly definition: (key: string) => ScannedDefinition | undefined;
}

export function lintModelFile(text: string, file: string, problems: Report): ModelShape {
  const scanned = scanModel(text, file);
  for (const { place, why } of scanned.stray) problems.add('CASBIN_DEFINITION_SYNTAX', place, why);
  lintSections(scanned, file, problems);
  const usable = lintKeys(scanned, problems);
  return lintDefinitions(usable, file, problems);
}

function lintSections({ sections: found, definitions }: ScannedModel, file: string, problems: Report): void {
  const seen = new Map<string, number>();
  for (const { name, place } of found) {
    if (!sections.some((known) => known === name)) {
      const near = nearest(name, sections);
      const hint = near === undefined ? '' : `; did you mean [${near}]?`;
      problems.add('CASBIN_SECTION_UNKNOWN', place, `unknown section [${name}]${hint}`);
    } else if (seen.has(name)) {
      problems.add('CASBIN_SECTION_DUPLICATE', place, `section [${name}] stands at line ${seen.get(name)} already`);
    }
    seen.set(name, seen.get(name) ?? place.line ?? 1);
  }
  for (const [section, key] of Object.entries(keys)) {
    const place = found.find(({ name }) => name === section)?.place;
    if (place === undefined) problems.add('CASBIN_SECTION_MISSING', { file }, `section [${section}] is missing`);
    else if (!definitions.some((entry) => entry.section === section && entry.key === key)) {
      problems.add('CASBIN_SECTION_MISSING', place, `section [${section}] defines no ${key}`);
    }
  }
}

/** The definitions the engine reads, by key; the others are reported. */
function lintKeys({ definitions }: ScannedModel, problems: Report): Map<string, ScannedDefinition> {
  const usable = new Map<string, ScannedDefinition>();
  for (const entry of definitions) {
    const { section, key, place } = entry;
    if (!sections.some((known) => known === section)) continue;
    const expected = section === 'role_definition' ? /^g[0-9]*$/.test(key) : keys[section as keyof typeof keys] === key;
    if (!expected && section === 'role_definition') {
      problems.add('CASBIN_ROLE_DEFINITION', place, `${key} in [role_definition]: expected g, g2, ...`);
    } else if (!expected) {
      const only = keys[section as keyof typeof keys];
      problems.add('CASBIN_DEFINITION_UNKNOWN', place, `${key} in [${section}]: only one definition, ${only}, is read`);
    } else if (usable.has(key)) {
      const first = usable.get(key)?.place.line ?? 1;
      problems.add('CASBIN_DEFINITION_DUPLICATE', place, `${key} is defined at line ${first} already`);
    } else usable.set(key, entry);
  }
  return usable;
}

function lintDefinitions(
  definitions: ReadonlyMap<string, ScannedDefinition>,
  file: string,
  problems: Report,
): ModelShape {
  const text = (key: string): string | undefined => definitions.get(key)?.text;
  const [r, p, e, m] = [text('r'), text('p'), text('e'), text('m')];
  const wrong = new Set<string>();
  const check = (rule: Parameters<Report['add']>[0], key: string, parts: Parts): void => {
    const definition = definitions.get(key);
    const message = definition === undefined ? undefined : probe(parts);
    if (definition === undefined || message === undefined || wrong.has(key)) return;
    wrong.add(key);
    problems.add(rule, definition.placeAt(0), message);
  };
  if (r !== undefined) check('CASBIN_FIELD_NAME', 'r', { r });
  // A column priority is wrong only beside an effect that does not look at it, which is said of the effect.
  const byPriority = { p: /\beft\b/.test(p ?? '') ? p : `${p}, eft`, e: 'priority(p.eft) || deny' };
  if (p !== undefined && probe(byPriority) !== undefined) check('CASBIN_FIELD_NAME', 'p', { p });
  const roles = new Map<string, ScannedDefinition>();
  for (const [key, definition] of definitions) {
    if (definition.section !== 'role_definition') continue;
    check('CASBIN_ROLE_DEFINITION', key, { roles: `${key} = ${definition.text}` });
    if (!wrong.has(key)) roles.set(key, definition);
  }
  if (e !== undefined) {
    // Alone with a column for everything an effect can ask for, then with the columns this model has.
    check('CASBIN_EFFECT_UNKNOWN', 'e', { e, p: 'sub, eft' });
    if (p !== undefined && !wrong.has('p')) check('CASBIN_EFFECT_COLUMN', 'e', { e, p });
  }
  if (m !== undefined) check('CASBIN_MATCHER_SYNTAX', 'm', { m });
  const missing = ['r', 'p', 'e', 'm'].some((key) => !definitions.has(key));
  const whole = { r, p, e, m, roles: [...roles].map(([key, { text: columns }]) => `${key} = ${columns}`).join('\n') };
  const model = missing || wrong.size > 0 ? undefined : parse(whole, file);
  const matcher = definitions.get('m');
  lintRequestFields(definitions.get('r'), problems);
  return {
    policy: p === undefined || wrong.has('p') ? undefined : p.split(',').map((column) => column.trim()),
    roles: new Map([...roles].map(([key, { text: columns }]) => [key, columns.split(',').length])),
    rolesComplete: [...definitions].every(([key, { section }]) => section !== 'role_definition' || roles.has(key)),
    roleDefinitions: roles,
    model:
      model === undefined || matcher === undefined
        ? undefined
        : { ...model, matcher: { ...model.matcher, placeAt: matcher.placeAt } },
    definition: (key) => definitions.get(key),
  };
}

function lintRequestFields(definition: ScannedDefinition | undefined, problems: Report): void {
  if (definition === undefined) return;
  let offset = 0;
  for (const field of definition.text.split(',')) {
    const name = field.trim();
    if (/^\w+$/.test(name) && !casbinFields.has(name)) {
      const place = definition.placeAt(offset + Math.max(0, field.search(/\S/)));
      const known = [...casbinFields].join(', ');
      problems.add('CASBIN_REQUEST_FIELD_UNKNOWN', place, `request field ${name}: known are ${known}`);
    }
    offset += field.length + 1;
  }
}

interface Parts {
  readonly r?: string | undefined;
  readonly p?: string | undefined;
  readonly roles?: string;
  readonly e?: string | undefined;
  readonly m?: string | undefined;
}

/** What the engine says about a model that is correct but for the given parts; undefined when it takes it. */
function probe(parts: Parts): string | undefined {
  try {
    parseModelFile(modelText(parts), '');
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.message;
    throw error;
  }
}

function parse(parts: Parts, file: string): ModelFile | undefined {
  try {
    return parseModelFile(modelText(parts), file);
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

function modelText({
  r = 'sub',
  p = 'sub',
  roles = '',
  e = 'some(where (p.eft == allow))',
  m = 'r.sub == p.sub',
}: Parts): string {
  return `[request_definition]\nr = ${r}\n[policy_definition]\np = ${p}\n[role_definition]\n${roles}\n[policy_effect]\ne = ${e}\n[matchers]\nm = ${m}\n`;
}
