// Configuration of a program: one YAML file, single values replaced by EDGEWARD_* variables, and secrets apart from both.
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { z } from 'zod';
import { runtimeErrors } from './error-codes.ts';
import { maxSecretBytes, maxYamlBytes } from './limits.ts';
import { faultsOf, parseScalar, readYaml } from './yaml.ts';
import { defOf, explainIssue, unwrapped } from './yaml-issues.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads `file` and checks it. A value `listen.edges` can be replaced by the variable EDGEWARD_LISTEN__EDGES; variables
 * that name no value of the schema are left alone (they serve other purposes).
 */
export async function loadConfig<S extends z.ZodType>(
  file: string,
  schema: S,
  environment: Environment = process.env,
): Promise<z.infer<S>> {
  const text = (await readLimited(file, maxYamlBytes, 'CONFIG_UNREADABLE')).toString('utf8');
  const source = readYaml(text, file);
  const overrides = overridesOf(schema, environment);
  let plain: unknown = source.plain ?? {};
  for (const override of overrides) plain = withValue(plain, override.path, override.value);
  const result = schema.safeParse(plain, { reportInput: true });
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const found = explainIssue(issue, { plain, schema })[0];
    const override = overrides.find(({ path }) => path.join('\0') === found?.path.join('\0'));
    if (found !== undefined && override !== undefined) {
      throw runtimeErrors.error('CONFIG_INVALID', `variable ${override.variable}: ${found.message}`, {
        remedy: 'Correct or unset the variable and try again',
      });
    }
  }
  const [first] = faultsOf(source, plain, result.error.issues, schema);
  throw runtimeErrors.error(
    'CONFIG_INVALID',
    first?.message ?? 'invalid',
    first === undefined ? {} : { place: first.place },
  );
}

interface Override {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

function overridesOf(schema: z.ZodType, environment: Environment): Override[] {
  return leavesOf(schema).flatMap((path) => {
    const variable = `EDGEWARD_${path.map(screaming).join('__')}`;
    const text = environment[variable];
    if (text === undefined) return [];
    return [{ variable, path, value: parseScalar(text) }];
  });
}

/** Paths of all values that are not maps. */
function leavesOf(schema: z.ZodType, path: readonly string[] = []): (readonly string[])[] {
  const shapes = unwrapped(schema).map((inner) => defOf(inner).shape);
  const [shape] = shapes;
  // A union has no fixed set of values to name.
  if (shape === undefined || shapes.length > 1) return path.length === 0 ? [] : [path];
  return Object.entries(shape).flatMap(([key, inner]) => leavesOf(inner, [...path, key]));
}

const screaming = (key: string): string =>
  key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toUpperCase();

function withValue(root: unknown, path: readonly string[], value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  const map = typeof root === 'object' && root !== null ? (root as Record<string, unknown>) : {};
  return { ...map, [step]: withValue(map[step], rest, value) };
}

/** A secret from a file that only its owner may read, or from a variable; the file wins. One trailing newline is dropped. */
export async function readSecret(
  from: { readonly file?: string | undefined; readonly env?: string | undefined },
  environment: Environment = process.env,
): Promise<string> {
  if (from.file !== undefined) {
    const secret = (await readLimited(from.file, maxSecretBytes, 'SECRET_MISSING', true)).toString('utf8');
    return notEmpty(secret.replace(/\r?\n$/, ''), from.file);
  }
  if (from.env !== undefined && environment[from.env] !== undefined) {
    return notEmpty(environment[from.env] ?? '', `variable ${from.env}`);
  }
  const wanted = from.env === undefined ? 'a file' : `a file or the variable ${from.env}`;
  throw runtimeErrors.error('SECRET_MISSING', `expected a secret in ${wanted}, found neither`);
}

function notEmpty(secret: string, place: string): string {
  if (secret === '') throw runtimeErrors.error('SECRET_MISSING', `expected a secret in ${place}, found nothing`);
  return secret;
}

async function readLimited(
  file: string,
  maxBytes: number,
  missing: 'CONFIG_UNREADABLE' | 'SECRET_MISSING',
  secret = false,
): Promise<Buffer> {
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw runtimeErrors.error(missing, `cannot read the file (${reason})`, { place: { file }, cause });
  }
  try {
    const info = await handle.stat();
    if (secret && info.isFile() && (info.mode & 0o077) !== 0) {
      const mode = (info.mode & 0o777).toString(8).padStart(4, '0');
      throw runtimeErrors.error(
        'SECRET_FILE_EXPOSED',
        `expected a file that only its owner may read, found mode ${mode}`,
        {
          place: { file },
        },
      );
    }
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, null);
    if (bytesRead > maxBytes) {
      throw runtimeErrors.error('CONFIG_TOO_LARGE', `expected at most ${maxBytes} bytes, found more`, {
        place: { file },
      });
    }
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
