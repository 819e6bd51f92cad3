// docs/errors.md from the closed error tables of all rooms: what each code means for who reads it.
//   node scripts/errors.ts            exits 1 when docs/errors.md is not up to date
//   node scripts/errors.ts --write    writes it
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { declaredCodes, type ErrorSpec } from '../runtime/errors.ts';

const root = join(import.meta.dirname, '..');
export const documentPath: string = join(root, 'docs/errors.md');

/** Rooms and faces in the order of the story; a code stands under the folder that declares it. */
const folders = [
  'ca',
  'attest',
  'policy',
  'enforcer',
  'audit',
  'response',
  'identity',
  'store',
  'runtime',
  'bin',
  'cli',
];

/** Source files of the product, tests left out, by path from the root. */
export function productFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((file) => existsSync(join(root, file)))
    .filter((file) => [...folders, 'demo'].includes(file.split('/')[0] ?? '') && !/\.test\.ts$|\/testing\//.test(file));
}

export const sourceOf = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Every code with its row, by folder. Imports the declaring files, none of which does anything when it is loaded. */
export async function errorsByFolder(): Promise<ReadonlyMap<string, ReadonlyMap<string, ErrorSpec>>> {
  const byFolder = new Map(folders.map((folder) => [folder, new Map<string, ErrorSpec>()]));
  for (const file of productFiles().filter((path) => /= errorTable\(/.test(sourceOf(path)))) {
    const exported = Object.values((await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>);
    for (const table of exported.filter(isTable)) {
      for (const [code, spec] of Object.entries(table.codes)) byFolder.get(file.split('/')[0] ?? '')?.set(code, spec);
    }
  }
  const listed = new Set([...byFolder.values()].flatMap((codes) => [...codes.keys()]));
  const hidden = [...declaredCodes().keys()].filter((code) => !listed.has(code));
  if (hidden.length > 0) throw new Error(`tables that are not exported declare ${hidden.join(', ')}`);
  return byFolder;
}

const isTable = (value: unknown): value is { codes: Record<string, ErrorSpec> } =>
  typeof value === 'object' && value !== null && 'codes' in value && 'error' in value;

export async function renderErrors(): Promise<string> {
  const sections = [...(await errorsByFolder())].filter(([, codes]) => codes.size > 0);
  return `# Errors

Every error has a code, a gRPC status, and a sentence that says what to do. On a terminal: \`CODE place: message; what to do\`.
On the wire the code and the place travel in the trailer \`edgeward-error-bin\`. Denials are not errors: they are decisions.

This file is written by \`node scripts/errors.ts --write\` from the tables in the code.
${sections.map(([folder, codes]) => `\n## ${folder}/\n\n| code | status | what to do |\n|---|---|---|\n${rows(codes)}\n`).join('')}`;
}

function rows(codes: ReadonlyMap<string, ErrorSpec>): string {
  const sorted = [...codes].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([code, spec]) => `| \`${code}\` | ${spec.status} | ${cell(spec.remedy)} |`).join('\n');
}

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replace(/\.$/, '');

if (process.argv[1] === import.meta.filename) {
  const wanted = await renderErrors();
  if (process.argv.includes('--write')) writeFileSync(documentPath, wanted);
  else if (readFileSync(documentPath, 'utf8') !== wanted) {
    process.stderr.write('docs/errors.md is not up to date; run: node scripts/errors.ts --write\n');
    process.exitCode = 1;
  }
}
