// First stage of reading: each file by the folder it lies in, each parsed by its schema. What a file cannot be is a
// problem; the other files are read all the same.
import { attributesSchema } from './format/attributes.ts';
import { breakGlassSchema } from './format/break-glass.ts';
import { detectionSchema, playbookSchema } from './format/documents.ts';
import { feedsSchema } from './format/feeds.ts';
import { firewallSchema } from './format/firewall.ts';
import { grantsSchema } from './format/grants.ts';
import { interfacesSchema } from './format/interfaces.ts';
import { inventorySchema } from './format/inventory.ts';
import { referenceSchema } from './format/reference.ts';
import { rootSchema } from './format/root.ts';
import { testsSchema } from './format/tests.ts';
import { waiversSchema } from './format/waivers.ts';
import type { Problems } from './problems.ts';
import { readJson, readYaml } from './read-yaml.ts';
import type { ParsedYaml } from '../../runtime/yaml.ts';
import { feedPattern, isIgnored } from './tree.ts';
import type { PolicyTree } from './tree.ts';

/** Kinds of YAML and JSON files: pattern of the path, schema, notation. */
const kinds = {
  root: { pattern: /^edgeward\.yaml$/, schema: rootSchema, read: readYaml, where: 'edgeward.yaml' },
  inventory: { pattern: /^inventory\/.+\.yaml$/, schema: inventorySchema, read: readYaml, where: 'inventory/*.yaml' },
  attributes: { pattern: /^schema\/.+\.json$/, schema: attributesSchema, read: readJson, where: 'schema/*.json' },
  interfaces: {
    pattern: /^interfaces\/.+\.yaml$/,
    schema: interfacesSchema,
    read: readYaml,
    where: 'interfaces/*.yaml',
  },
  grants: { pattern: /^grants\/.+\.yaml$/, schema: grantsSchema, read: readYaml, where: 'grants/*.yaml' },
  breakGlass: {
    pattern: /^break-glass\/.+\.yaml$/,
    schema: breakGlassSchema,
    read: readYaml,
    where: 'break-glass/*.yaml',
  },
  feeds: { pattern: /^feeds\/feeds\.yaml$/, schema: feedsSchema, read: readYaml, where: 'feeds/feeds.yaml' },
  firewall: { pattern: /^firewall\/.+\.yaml$/, schema: firewallSchema, read: readYaml, where: 'firewall/*.yaml' },
  reference: { pattern: /^reference\/.+\.yaml$/, schema: referenceSchema, read: readYaml, where: 'reference/*.yaml' },
  waivers: { pattern: /^waivers\/.+\.yaml$/, schema: waiversSchema, read: readYaml, where: 'waivers/*.yaml' },
  tests: { pattern: /^tests\/.+\.yaml$/, schema: testsSchema, read: readYaml, where: 'tests/**/*.yaml' },
  detections: {
    pattern: /^detections\/[^/]+\.yml$/,
    schema: detectionSchema,
    read: readYaml,
    where: 'detections/*.yml',
  },
  playbooks: { pattern: /^playbooks\/[^/]+\.json$/, schema: playbookSchema, read: readJson, where: 'playbooks/*.json' },
} as const;

const regoPattern = /^rego\/([^/]+)\/([^/]+\.rego|data\.json)$/;
/** Recorded decisions; read where they are replayed (ask/recorded.ts). */
const fixturePattern = /^fixtures\/.+\.ndjson$/;
const casbinPattern = /^casbin\/([^/]+)\/(model\.conf|policy\.csv)$/;

export type Kind = keyof typeof kinds | 'casbin' | 'rego' | 'netsets';

type ValueOf<K extends keyof typeof kinds> = (typeof kinds)[K]['schema']['_zod']['output'];

/** One parsed file. */
export type SourceFile<K extends keyof typeof kinds> = ParsedYaml<ValueOf<K>> & {
  readonly path: string;
  readonly text: string;
};

export type Files = { readonly [K in keyof typeof kinds]: SourceFile<K>[] } & {
  readonly fixtures: { readonly path: string; readonly text: string }[];
  /** Threat feeds by name. */
  readonly netsets: Map<string, { readonly path: string; readonly text: string }>;
  /** By folder name; either text is absent when the file is. */
  readonly casbin: Map<string, { model?: string; policy?: string }>;
  /** By folder name: the texts of its files by path. */
  readonly rego: Map<string, Map<string, string>>;
  /** Kinds with a file that did not parse: what looks unknown there may be only unread. */
  readonly broken: Set<Kind>;
};

/** Parses every file of the tree. */
export function readFiles(tree: PolicyTree, problems: Problems): Files {
  const files: Files = {
    root: [],
    inventory: [],
    attributes: [],
    interfaces: [],
    grants: [],
    breakGlass: [],
    feeds: [],
    firewall: [],
    reference: [],
    waivers: [],
    tests: [],
    detections: [],
    playbooks: [],
    fixtures: [],
    netsets: new Map(),
    casbin: new Map(),
    rego: new Map(),
    broken: new Set(),
  };
  for (const [path, content] of tree.files) {
    if (!isIgnored(path)) readOne(files, path, content, problems);
  }
  if (files.root.length === 0 && !files.broken.has('root')) {
    problems.add('POLICY_FORMAT', { file: 'edgeward.yaml' }, 'the file is missing; expected format: 1 and trustDomain');
  }
  return files;
}

function readOne(files: Files, path: string, content: Uint8Array, problems: Problems): void {
  const kind = (Object.keys(kinds) as (keyof typeof kinds)[]).find((name) => kinds[name].pattern.test(path));
  if (fixturePattern.test(path)) {
    const recorded = decode(path, content, problems);
    if (recorded !== undefined) files.fixtures.push({ path, text: recorded });
    return;
  }
  const [, feed] = feedPattern.exec(path) ?? [];
  if (feed !== undefined) {
    const list = decode(path, content, problems);
    if (list === undefined) files.broken.add('netsets');
    else files.netsets.set(feed, { path, text: list });
    return;
  }
  const casbin = casbinPattern.exec(path);
  const rego = regoPattern.exec(path);
  if (kind === undefined && casbin === null && rego === null) {
    problems.add('POLICY_FILE_UNKNOWN', { file: path }, `no folder reads this file; expected ${expectedPaths(path)}`);
    return;
  }
  const text = decode(path, content, problems);
  if (rego !== null) {
    const [, name = ''] = rego;
    if (text === undefined) files.broken.add('rego');
    else files.rego.set(name, new Map([...(files.rego.get(name) ?? []), [path, text]]));
    return;
  }
  if (kind === undefined) {
    const [, name = '', part] = casbin ?? [];
    if (text === undefined) {
      files.broken.add('casbin');
      return;
    }
    const model = files.casbin.get(name) ?? {};
    files.casbin.set(name, part === 'model.conf' ? { ...model, model: text } : { ...model, policy: text });
    return;
  }
  const parsed = text === undefined ? undefined : parseKind(kind, path, text, problems);
  if (parsed === undefined || text === undefined) files.broken.add(kind);
  else files[kind].push({ ...parsed, path, text } as never);
}

function parseKind<K extends keyof typeof kinds>(
  kind: K,
  path: string,
  text: string,
  problems: Problems,
): ParsedYaml<ValueOf<K>> | undefined {
  const entry = kinds[kind];
  return entry.read(path, text, entry.schema, problems);
}

function decode(path: string, content: Uint8Array, problems: Problems): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    problems.add('POLICY_FORMAT', { file: path }, 'the file is not UTF-8 text');
    return undefined;
  }
}

function expectedPaths(path: string): string {
  const folder = path.split('/')[0] ?? '';
  const known = [
    ...Object.values(kinds).map((kind) => kind.where),
    'fixtures/*.ndjson',
    'feeds/<name>.netset',
    'casbin/<name>/model.conf',
    'casbin/<name>/policy.csv',
    'rego/<name>/*.rego',
    'rego/<name>/data.json',
  ];
  const near = known.filter((where) => where.split('/')[0] === folder);
  return (near.length > 0 ? near : known).join(', ');
}
