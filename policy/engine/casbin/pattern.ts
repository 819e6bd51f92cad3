// The matching functions of the matcher, compiled per pattern. A pattern has two readings: the exact one, and the wide
// one of the reference where that is wider (unanchored regexes, a dot that is any character). Where a match helps to
// allow, the exact one decides; where it helps to deny, the wide one (see literals.ts).
import { globPattern } from './glob-pattern.ts';
import { ipPattern, type Network } from './ip-pattern.ts';
import { keyPattern, parameterPattern } from './key-pattern.ts';
import type { PathPattern } from './path-pattern.ts';
import { regexPattern } from './regex-pattern.ts';

export interface Pattern {
  readonly exact: (value: string) => boolean;
  readonly wide: (value: string) => boolean;
  /** The exact reading as a path, for the index; absent where it is no path. Made anew when asked for. */
  readonly path?: () => PathPattern;
  /** Instructions, where it is a regex. */
  readonly size?: number;
  /** The pattern as a network, for the index. */
  readonly network?: Network;
}

/** Makes the error of a pattern that is not supported, with the pattern's place. */
export type Fail = (message: string) => Error;

/** keyMatch5 looks at what stands before the first `?`. */
export const withoutQuery = (value: string): string => {
  const query = value.indexOf('?');
  return query === -1 ? value : value.slice(0, query);
};

const functions: ReadonlyMap<string, (pattern: string, fail: Fail) => Pattern> = new Map([
  ['keyMatch', keyPattern],
  ['keyMatch2', (pattern: string, fail: Fail) => parameterPattern(pattern, 'colon', fail)],
  ['keyMatch3', (pattern: string, fail: Fail) => parameterPattern(pattern, 'braces', fail)],
  ['keyMatch4', (pattern: string, fail: Fail) => parameterPattern(pattern, 'repeated-braces', fail)],
  ['keyMatch5', keyMatch5Pattern],
  ['globMatch', globPattern],
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

function keyMatch5Pattern(pattern: string, fail: Fail): Pattern {
  const { exact, wide, path } = parameterPattern(pattern, 'braces', fail);
  const cutExact = (value: string): boolean => exact(withoutQuery(value));
  const cut = {
    exact: cutExact,
    wide: exact === wide ? cutExact : (value: string): boolean => wide(withoutQuery(value)),
  };
  return path === undefined ? cut : { ...cut, path };
}
