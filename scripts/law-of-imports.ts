// The law of imports (ARCHITECTURE.md): rooms import foundations; a room imports another only along a declared edge,
// through its index.ts; edge code never reaches cloud code; a boundary library is imported in one place.
//   node scripts/law-of-imports.ts            exits 1 and lists file:line for every break
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { execFileSync } from 'node:child_process';

const root = join(import.meta.dirname, '..');

export const rooms = ['ca', 'attest', 'policy', 'enforcer', 'audit', 'response'];
/** A foundation and the foundations it may stand on. */
export const foundations: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  runtime: ['proto'],
  store: ['runtime'],
  identity: ['runtime', 'store', 'proto'],
};
/** Declared edges between rooms: from a room to one folder of another, through its index.ts. */
export const edges: Readonly<Record<string, readonly string[]>> = {
  enforcer: ['policy/engine', 'policy/bundle', 'audit/spool'],
};
/** Third-party libraries that define a boundary, and the only files that may import them. Type imports count too. */
export const boundaries: Readonly<Record<string, RegExp>> = {
  '@peculiar/x509': /^identity\/csr\.ts$/,
  'reflect-metadata': /^identity\/csr\.ts$/,
  '@open-policy-agent/opa-wasm': /^policy\/engine\/rego\/opa-module\.ts$/,
  jose: /^identity\/(jws|jwt-svid)\.ts$/,
  '@grpc/grpc-js': /^runtime\/grpc[a-z-]*\.ts$/,
  koffi: /^runtime\/linux[a-z-]*\.ts$/,
  'node:sqlite': /^store\//,
  pg: /^store\//,
  kysely: /^(store\/|[a-z]+\/(.*\/)?cloud\/)/,
  pino: /^runtime\/log\.ts$/,
  'prom-client': /^runtime\/metrics\.ts$/,
  yaml: /^runtime\/yaml\.ts$/,
  commander: /^(cli|bin)\//,
  casbin: /^$/,
  jsmodbus: /^$/,
};

export interface Import {
  readonly file: string;
  readonly line: number;
  readonly target: string;
}

const importPattern =
  /(?:^|[\s;])(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|(?:^|[\s;(=])import\s*\(?\s*['"]([^'"]+)['"]/g;

/** Imports of a source text, with lines; static, dynamic, type and re-exports alike. Comments are ignored. */
export function importsOf(file: string, text: string): Import[] {
  const code = text
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(importPattern)].map((match) => ({
    file,
    line: code.slice(0, match.index + match[0].length).split('\n').length,
    target: match[1] ?? match[2] ?? '',
  }));
}

const isTest = (file: string): boolean =>
  file.endsWith('.test.ts') || /^(test|bench|demo|scripts|examples)\//.test(file);

/** What is wrong with one import, or undefined when the law allows it. */
export function judge({ file, target }: Import): string | undefined {
  if (isTest(file)) return undefined;
  if (!target.startsWith('.')) return judgeLibrary(file, target);
  const resolved = normalize(join(dirname(file), target));
  const from = file.split('/')[0] ?? '';
  const to = resolved.split('/')[0] ?? '';
  if (resolved.startsWith('..')) return 'leaves the repository';
  if (/^(test|bench|scripts|examples)\//.test(resolved)) return `product code imports ${to}/`;
  if (file.includes('/edge/') && (resolved.includes('/cloud/') || to === 'response'))
    return 'edge code imports cloud code';
  if (from === to) return undefined;
  if (from in foundations) {
    return foundations[from]?.includes(to)
      ? undefined
      : `foundation ${from}/ may import only ${foundations[from]?.join(', ') || 'nothing'}`;
  }
  if (!rooms.includes(from)) return from === 'bin' || from === 'cli' ? undefined : `${from}/ is neither room nor face`;
  if (to in foundations) return undefined;
  const allowed = edges[from] ?? [];
  const edge = allowed.find((folder) => resolved.startsWith(`${folder}/`));
  if (edge === undefined) return `${from}/ may not import ${to}/ (declared edges: ${allowed.join(', ') || 'none'})`;
  return resolved === `${edge}/index.ts` ? undefined : `goes past ${edge}/index.ts`;
}

function judgeLibrary(file: string, target: string): string | undefined {
  const name = target.startsWith('node:')
    ? target
    : target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');
  const place = boundaries[name];
  return place === undefined || place.test(file) ? undefined : `${name} is imported only in ${place.source}`;
}

export function breaks(): string[] {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    // What was removed and not committed yet is still listed.
    .filter((file) => file !== '' && !file.startsWith('proto/gen/') && existsSync(join(root, file)));
  return files.flatMap((file) =>
    importsOf(file, readFileSync(join(root, file), 'utf8')).flatMap((found) => {
      const wrong = judge(found);
      return wrong === undefined ? [] : [`${found.file}:${found.line}: ${found.target}: ${wrong}`];
    }),
  );
}

if (process.argv[1] !== undefined && relative(import.meta.filename, process.argv[1]) === '') {
  const found = breaks();
  for (const line of found) process.stderr.write(`${line}\n`);
  if (found.length > 0) process.exitCode = 1;
}
