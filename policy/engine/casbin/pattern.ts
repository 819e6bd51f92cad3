// The matching functions of the matcher, compiled per pattern. A pattern has two readings: the exact one, and the wide
// one of the reference where that is wider (unanchored regexes, a dot that is any character). Where a match helps to
// allow, the exact one decides; where it helps to deny, the wide one (see casbin-model.ts).
import { ipPattern } from './ip-pattern.ts';
import { keyPattern, parameterPattern } from './key-pattern.ts';
import { regexPattern } from './regex-pattern.ts';

export interface Pattern {
  readonly exact: (value: string) => boolean;
  readonly wide: (value: string) => boolean;
}

/** Makes the error of a pattern that is not supported, with the pattern's place. */
export type Fail = (message: string) => Error;

const functions: ReadonlyMap<string, (pattern: string, fail: Fail) => Pattern> = new Map([
  ['keyMatch', keyPattern],
  ['keyMatch2', (pattern: string, fail: Fail) => parameterPattern(pattern, 'colon', fail)],
  ['keyMatch3', (pattern: string, fail: Fail) => parameterPattern(pattern, 'braces', fail)],
  ['regexMatch', regexPattern],
  ['ipMatch', ipPattern],
]);

export const patternFunctions: readonly string[] = [...functions.keys()];

export function isPatternFunction(name: string): boolean {
  return functions.has(name);
}

export function compilePattern(name: string, pattern: string, fail: Fail): Pattern {
  const compile = functions.get(name);
  if (compile === undefined) throw fail(`unknown function ${name}`);
  return compile(pattern, fail);
}
