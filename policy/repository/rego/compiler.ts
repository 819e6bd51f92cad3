// Compiles and tests one Rego package with opa. Every complaint of opa becomes a problem at the place it names; the
// same files give the same bytes, wherever and whenever they are compiled.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Place } from '../../../runtime/errors.ts';
import { MAX_REGO_ARCHIVE_BYTES } from '../../limits.ts';
import { capabilityFiles, type CapabilityFiles } from './capabilities.ts';
import { findOpa, type Opa, type OpaRun } from './opa.ts';
import { fileOfTar } from './tar.ts';

/** The files of one folder `rego/<name>/`. */
export interface RegoFolder {
  readonly name: string;
  /** `rego/<name>/<file>.rego` to its text; those that end in `_test.rego` are tests. */
  readonly files: ReadonlyMap<string, string>;
  /** data.json, read and written again; absent without one. */
  readonly data?: string;
}

export interface RegoProblem {
  readonly place: Place;
  readonly message: string;
}

export interface RegoCompiler {
  readonly compile: (folder: RegoFolder) => RegoCompiled;
  /** Runs the rules that are named `test_…`. */
  readonly test: (folder: RegoFolder) => { readonly passed: number; readonly problems: readonly RegoProblem[] };
}

/** The package as WebAssembly and where its rule `decision` is, or what is wrong with it: one problem at least. */
export type RegoCompiled =
  | { readonly wasm: Uint8Array; readonly place: Place }
  | { readonly problems: readonly RegoProblem[] };

/** Asked only for a repository that holds packages; undefined on a machine without opa. */
export type FindRegoCompiler = () => RegoCompiler | undefined;

export const isRegoTest = (path: string): boolean => path.endsWith('_test.rego');

/** `temporaryDirectory` is where each package is laid out for opa, and removed again. */
export function createRegoCompiler(opa: Opa, temporaryDirectory: string = tmpdir()): RegoCompiler {
  let capabilities: CapabilityFiles | undefined;
  const staged = <T>(folder: RegoFolder, work: (directory: string) => T): T => {
    const directory = mkdtempSync(join(temporaryDirectory, 'edgeward-rego-'));
    try {
      capabilities ??= capabilityFiles(opa);
      layOut(folder, directory, capabilities);
      return work(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  return {
    compile: (folder) => staged(folder, (directory) => compile(opa, folder, directory)),
    test: (folder) => staged(folder, (directory) => runTests(opa, folder, directory)),
  };
}

/** With the opa of this machine. */
export const findRegoCompiler: FindRegoCompiler = () => {
  const opa = findOpa();
  return opa === undefined ? undefined : createRegoCompiler(opa);
};

const packageCapabilities = 'package-capabilities.json';
const testCapabilities = 'test-capabilities.json';
const archive = 'bundle.tar.gz';
/** As in the repository, so that opa names the repository's paths. */
const sources = 'rego';
const withoutTests = ['--ignore', '*_test.rego'];

function layOut({ name, files, data }: RegoFolder, directory: string, capabilities: CapabilityFiles): void {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  };
  write(packageCapabilities, capabilities.package);
  write(testCapabilities, capabilities.tests);
  for (const [path, text] of files) write(path, text);
  if (data !== undefined) write(`${sources}/${name}/data.json`, data);
}

function compile(opa: Opa, folder: RegoFolder, directory: string): RegoCompiled {
  const check = ['check', '--strict', '--format', 'json', '--bundle', sources, '--capabilities'];
  for (const args of [
    [...check, packageCapabilities, ...withoutTests],
    [...check, testCapabilities],
  ]) {
    const problems = complaints(opa.run(directory, args), folder);
    if (problems.length > 0) return { problems };
  }
  const modules = parseModules(opa, folder, directory);
  const foreign = modules.flatMap((module) => foreignPackage(module, folder));
  if (foreign.length > 0) return { problems: foreign };
  const place = placeOfDecision(modules);
  if (place === undefined) {
    return { problems: [problemOf(folder, 'no rule decision; expected decision := {"deny": deny}')] };
  }
  const entrypoint = `${folder.name}/decision`;
  const build = ['build', '--target', 'wasm', '--entrypoint', entrypoint, '--capabilities', packageCapabilities];
  const problems = complaints(
    opa.run(directory, [...build, ...withoutTests, '--output', archive, '--bundle', sources]),
    folder,
  );
  if (problems.length > 0) return { problems };
  const files = gunzipSync(readFileSync(join(directory, archive)), { maxOutputLength: MAX_REGO_ARCHIVE_BYTES });
  const wasm = fileOfTar(files, '/policy.wasm');
  return wasm === undefined ? { problems: [problemOf(folder, 'opa wrote no /policy.wasm')] } : { wasm, place };
}

interface ParsedModule {
  readonly file: string;
  readonly package: { readonly path: readonly { readonly value: string }[]; readonly location?: Location };
  readonly rules?: readonly {
    readonly head: { readonly ref: readonly { readonly value: string }[] };
    readonly location?: Location;
  }[];
}

/** The files parse: they were checked. */
function parseModules(opa: Opa, { files }: RegoFolder, directory: string): ParsedModule[] {
  return [...files.keys()].map((file) => {
    const { stdout } = opa.run(directory, ['parse', '--format', 'json', '--json-include', 'locations', file]);
    return { ...(JSON.parse(stdout) as Omit<ParsedModule, 'file'>), file };
  });
}

/** Another package's rules would be out of sight of the interface that names this one. */
function foreignPackage({ file, package: declared }: ParsedModule, { name }: RegoFolder): RegoProblem[] {
  const path = declared.path.slice(1).map(({ value }) => value);
  const [first = ''] = path;
  if (first === name || (isRegoTest(file) && first === `${name}_test`)) return [];
  const message = `package ${path.join('.')}; expected package ${name}, the name of the folder`;
  return [{ place: placeAt(file, declared.location), message }];
}

function placeOfDecision(modules: readonly ParsedModule[]): Place | undefined {
  for (const { file, package: declared, rules = [] } of modules) {
    if (isRegoTest(file) || declared.path.length !== 2) continue;
    const rule = rules.find(({ head }) => head.ref[0]?.value === 'decision');
    if (rule !== undefined) return placeAt(file, rule.location);
  }
  return undefined;
}

function placeAt(file: string, { row: line = 1, col: column = 1 }: Location = {}): Required<Place> {
  return { file, line, column: Math.max(column, 1) };
}

interface Location {
  readonly file?: string;
  readonly row?: number;
  readonly col?: number;
}

interface Complaint {
  readonly message?: string;
  readonly code?: string;
  readonly location?: Location;
}

/** What opa reports in JSON, or on one line `error: …`; empty when it succeeded. */
function complaints({ status, stdout, stderr }: OpaRun, folder: RegoFolder): RegoProblem[] {
  if (status === 0) return [];
  const listed = [stdout, stderr].flatMap((text) => parseComplaints(text));
  if (listed.length === 0) return [problemOf(folder, `${stderr}${stdout}`.trim().slice(0, 500) || 'opa failed')];
  return listed.map(({ message = '', location = {} }) => {
    return { place: placeAt(location.file ?? firstFile(folder), location), message: withHint(message) };
  });
}

function parseComplaints(text: string): readonly Complaint[] {
  try {
    return (JSON.parse(text) as { errors?: Complaint[] }).errors ?? [];
  } catch {
    return [];
  }
}

function withHint(message: string): string {
  // opa rewrites some calls, print among them, before it looks for them.
  const name = /^undefined function (?:internal\.)?(.+)$/.exec(message)?.[1];
  if (name === undefined) return message;
  const instead = name.startsWith('time.')
    ? 'a package reads no clock; input.context.time is the time of the request in milliseconds'
    : 'policy/engine/rego/README.md lists the built-in functions of the engine';
  return `undefined function ${name}: ${instead}`;
}

interface TestResult {
  readonly location?: Location;
  readonly name: string;
  readonly fail?: boolean;
  readonly error?: unknown;
}

function runTests(opa: Opa, folder: RegoFolder, directory: string): ReturnType<RegoCompiler['test']> {
  const run = opa.run(directory, ['test', '--format', 'json', '--capabilities', testCapabilities, '--bundle', sources]);
  const results = parseResults(run.stdout);
  if (results === undefined) return { passed: 0, problems: complaints({ ...run, status: 1 }, folder) };
  const failed = results.filter((result) => result.fail === true || result.error !== undefined);
  return {
    passed: results.length - failed.length,
    problems: failed.map(({ name, location = {}, error }) => {
      const why = error === undefined ? 'is not true' : `ends with an error: ${JSON.stringify(error).slice(0, 300)}`;
      return { place: placeAt(location.file ?? firstFile(folder), location), message: `test ${name} ${why}` };
    }),
  };
}

function parseResults(text: string): readonly TestResult[] | undefined {
  try {
    const results: unknown = JSON.parse(text);
    return Array.isArray(results) ? (results as TestResult[]) : undefined;
  } catch {
    return undefined;
  }
}

function problemOf(folder: RegoFolder, message: string): RegoProblem {
  return { place: { file: firstFile(folder) }, message };
}

function firstFile({ name, files }: RegoFolder): string {
  return [...files.keys()].find((path) => !isRegoTest(path)) ?? `rego/${name}`;
}
