// What the edge's program consists of: every file of ours and every npm package that bin/edge-node.ts reaches, found by
// a real bundler. What is forbidden there has a reason; a break is told with the chain of imports that leads to it.
//   node scripts/closure.ts            exits 1 on a break, or when docs/closure-edge.txt is not up to date
//   node scripts/closure.ts --write    writes it
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
export const closurePath: string = join(root, 'docs/closure-edge.txt');
const entry = 'bin/edge-node.ts';

/** What the edge must not contain, and why. Files are matched by path, packages as `npm:name`. */
export const forbidden: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: /\/cloud\//, why: 'the edge works without the cloud, so it cannot need its code' },
  { pattern: /^response\//, why: 'an edge carries out orders; it makes none' },
  { pattern: /^(test|bench|demo|scripts|examples|cli)\//, why: 'neither proof nor face is part of the edge' },
  { pattern: /\.test\.ts$|\/testing\//, why: 'neither proof nor face is part of the edge' },
  { pattern: /^npm:(pg|kysely)$/, why: 'an edge has files, no database' },
  { pattern: /^npm:casbin$/, why: 'the reference is for tests; the engine compiles models itself' },
  { pattern: /^npm:commander$/, why: 'commands belong to the face' },
];

export interface Closure {
  /** Our files, by path from the root. */
  readonly files: readonly string[];
  /** npm packages that our files import; what those bring along is in package-lock.json. */
  readonly packages: readonly string[];
  /** For each file and `npm:` package the file that was seen importing it first, searched in breadth. */
  readonly importer: ReadonlyMap<string, string>;
}

export async function closureOf(start: string): Promise<Closure> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [start],
    bundle: true,
    write: false,
    metafile: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    // Type imports are gone before this: what is listed is what runs. Code that a bundler could drop is kept.
    treeShaking: false,
    logLevel: 'silent',
  });
  const importer = new Map<string, string>();
  const queue = [start];
  for (const file of queue) {
    const imports = (metafile.inputs[file]?.imports ?? []).map(({ external, path }) =>
      external === true ? packageOf(path) : path,
    );
    for (const name of [...imports, ...requiredBy(file)]) {
      if (name === undefined || name === start || importer.has(name)) continue;
      importer.set(name, file);
      queue.push(name);
    }
  }
  const reached = [start, ...importer.keys()].toSorted();
  return {
    files: reached.filter((name) => !name.startsWith('npm:')),
    packages: reached.filter((name) => name.startsWith('npm:')),
    importer,
  };
}

/** Packages that are loaded only when they are needed, which a bundler does not see: `createRequire(...)('koffi')`. */
function requiredBy(file: string): (string | undefined)[] {
  if (file.startsWith('npm:')) return [];
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/createRequire\([^()]*\)\('([^'.][^']*)'\)/g)].map((match) => packageOf(match[1] ?? ''));
}

/** `npm:@scope/name` of a specifier; undefined for what Node itself brings. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1);
  return `npm:${parts.join('/')}`;
}

/** One line for each break: what is wrong, why, and how the program came to it. */
export function breaksOf({ files, packages, importer }: Closure): string[] {
  return [...files, ...packages].flatMap((name) => {
    const rule = forbidden.find(({ pattern }) => pattern.test(name));
    if (rule === undefined) return [];
    const chain = [name];
    for (let at = importer.get(name); at !== undefined; at = importer.get(at)) chain.unshift(at);
    return [`${name}: ${rule.why}: ${chain.join(' -> ')}`];
  });
}

export function renderClosure({ files, packages }: Closure): string {
  return `# What ${entry} consists of. Written by: node scripts/closure.ts --write\n${[...packages, ...files].join('\n')}\n`;
}

export const edgeClosure = async (): Promise<Closure> => await closureOf(entry);

if (process.argv[1] === import.meta.filename) {
  const closure = await edgeClosure();
  for (const line of breaksOf(closure)) {
    process.stderr.write(`${line}\n`);
    process.exitCode = 1;
  }
  const text = renderClosure(closure);
  if (process.argv.includes('--write')) writeFileSync(closurePath, text);
  else if (readFileSync(closurePath, 'utf8') !== text) {
    process.stderr.write(
      'docs/closure-edge.txt is not up to date; read what changed with: node scripts/closure.ts --write\n',
    );
    process.exitCode = 1;
  }
}
