// The Rego packages of a repository, compiled. A package that did not compile, or that no edge could start, is a
// problem; the rest of the repository is read all the same.
import { z } from 'zod';
import { canonicalJson } from '../../../runtime/canonical-json.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { regoNamePattern } from '../../bundle/slice.ts';
import { compileRego } from '../../engine/rego/rego-package.ts';
import type { Problems } from '../problems.ts';
import type { Files } from '../read-files.ts';
import { readJson } from '../read-yaml.ts';
import { placeText, type RegoPackage } from '../repository.ts';
import { isRegoTest, type FindRegoCompiler, type RegoCompiler, type RegoFolder } from './compiler.ts';
import { opaVersion } from './opa.ts';

const dataSchema = z.record(z.string(), z.unknown());

export function readRego(files: Files, problems: Problems, findCompiler: FindRegoCompiler): RegoPackage[] {
  const compiler = files.rego.size === 0 ? undefined : findCompiler();
  return [...files.rego].flatMap(([name, texts]) => {
    const folder = readFolder(name, texts, problems);
    if (folder === undefined) {
      files.broken.add('rego');
      return [];
    }
    return readPackage(folder, problems, compiler) ?? [];
  });
}

function readFolder(name: string, texts: ReadonlyMap<string, string>, problems: Problems): RegoFolder | undefined {
  const dataPath = `rego/${name}/data.json`;
  const sources = new Map([...texts].filter(([path]) => path !== dataPath));
  const first = [...sources.keys()].find((path) => !isRegoTest(path));
  if (!regoNamePattern.test(name)) {
    const [path = dataPath] = texts.keys();
    problems.add('POLICY_FORMAT', { file: path }, `folder ${name}; expected lower case letters, digits and _ alone`);
    return undefined;
  }
  if (first === undefined) {
    problems.add(
      'POLICY_REGO',
      { file: `rego/${name}` },
      `no package; expected rego/${name}/*.rego with a rule decision`,
    );
    return undefined;
  }
  const text = texts.get(dataPath);
  if (text === undefined) return { name, files: sources };
  if (readJson(dataPath, text, dataSchema, problems) === undefined) return undefined;
  try {
    return { name, files: sources, data: canonicalJson(JSON.parse(text)) };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    problems.add('POLICY_FORMAT', { file: dataPath }, error.message);
    return undefined;
  }
}

function readPackage(
  folder: RegoFolder,
  problems: Problems,
  compiler: RegoCompiler | undefined,
): RegoPackage | undefined {
  const { name, files, data = '{}' } = folder;
  if (compiler === undefined) {
    const [file = ''] = files.keys();
    problems.add('POLICY_REGO_UNAVAILABLE', { file }, `compiling Rego needs opa ${opaVersion}, which is not here`);
    return undefined;
  }
  const compiled = compiler.compile(folder);
  if ('problems' in compiled) {
    for (const { place, message } of compiled.problems) problems.add('POLICY_REGO', place, message);
    return undefined;
  }
  const { wasm, place } = compiled;
  const found = { name, wasm: Buffer.from(wasm).toString('base64'), data: `{${JSON.stringify(name)}:${data}}` };
  try {
    compileRego({ ...found, wasm, place: placeText(place) });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    problems.add('POLICY_REGO', error.place ?? place, error.message);
    return undefined;
  }
  return { ...found, folder, at: place };
}
