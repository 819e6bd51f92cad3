// YAML and JSON of a policy repository through the one strict reader: a fault becomes a problem at its own line and
// column, and all faults of a file are reported.
import type { z } from 'zod';
import { CodedError } from '../../runtime/errors.ts';
import { parseYamlWithPlaces, yamlFaults } from '../../runtime/yaml.ts';
import type { ParsedYaml } from '../../runtime/yaml.ts';
import type { Problems } from './problems.ts';

export function readYaml<S extends z.ZodType>(
  path: string,
  text: string,
  schema: S,
  problems: Problems,
): ParsedYaml<z.infer<S>> | undefined {
  try {
    return parseYamlWithPlaces(text, path, schema);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    for (const fault of yamlFaults(error)) problems.add('POLICY_FORMAT', fault.place ?? { file: path }, fault.message);
    return undefined;
  }
}

/** JSON is YAML 1.2, so the same reader gives places; what is YAML but not JSON is refused first. */
export function readJson<S extends z.ZodType>(
  path: string,
  text: string,
  schema: S,
  problems: Problems,
): ParsedYaml<z.infer<S>> | undefined {
  try {
    JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const at = /line (\d+) column (\d+)/.exec(message);
    const place = at === null ? { file: path } : { file: path, line: Number(at[1]), column: Number(at[2]) };
    problems.add('POLICY_FORMAT', place, `expected JSON; ${message}`);
    return undefined;
  }
  return readYaml(path, text, schema, problems);
}
