// Patterns in the columns of policy.csv, and literal ones in the matcher: what the functions of Casbin loop on, take
// for something else, or match wider than it reads.
import { RE2JS } from 're2js';
import { CodedError } from '../../../../runtime/errors.ts';
import { engineErrors } from '../../../engine/errors.ts';
import { compilePattern, isPatternFunction } from '../../../engine/casbin/pattern.ts';
import { cidrWithoutHostBits } from '../host-bits.ts';
import type { RuleId } from '../../rules.ts';

export interface Finding {
  readonly rule: RuleId;
  readonly message: string;
}

/** Everything to say about `pattern` as the argument of `name`. `allows`: a match opens something. */
export function patternFindings(name: string, pattern: string, allows: boolean): readonly Finding[] {
  const refusal = refusalOf(name, pattern);
  if (refusal !== undefined) return [{ rule: refusalRule(name, pattern), message: refusal }];
  const findings = [...hints(name, pattern)];
  if (allows && isEverything(name, pattern)) {
    findings.push({ rule: 'CASBIN_PATTERN_WIDE', message: `${name} "${pattern}" matches every value` });
  }
  return findings;
}

/** What the engine says; undefined when it compiles the pattern. */
function refusalOf(name: string, pattern: string): string | undefined {
  if (!isPatternFunction(name)) return undefined;
  try {
    compilePattern(name, pattern, (message) => engineErrors.error('ENGINE_CASBIN_POLICY', message));
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.message;
    throw error;
  }
}

/** Which fault a refused pattern has; the closest name, the message is the engine's. */
function refusalRule(name: string, pattern: string): RuleId {
  switch (name) {
    case 'keyMatch':
      return 'CASBIN_KEYMATCH_TAIL';
    case 'regexMatch':
      if (pattern === '') return 'CASBIN_REGEX_EMPTY';
      return /\(\?[=!<]|\\[1-9]|\\k</.test(pattern) ? 'CASBIN_REGEX_NONLINEAR' : 'CASBIN_REGEX_SYNTAX';
    case 'ipMatch': {
      const [address = '', prefix] = pattern.split('/');
      if (/^::ffff:\d+\./i.test(address)) return 'CASBIN_ADDRESS_MAPPED';
      return prefix !== undefined && refusalOf('ipMatch', address) === undefined
        ? 'CASBIN_CIDR_PREFIX'
        : 'CASBIN_ADDRESS';
    }
    case 'keyMatch2':
      if (/:(?![A-Za-z0-9_-])/.test(pattern)) return 'CASBIN_KEYMATCH_LOOP';
      break;
    case 'keyMatch3':
    case 'keyMatch4':
    case 'keyMatch5':
      if (/\{(?![A-Za-z0-9_-]+\})/.test(pattern)) return 'CASBIN_KEYMATCH_LOOP';
      break;
    case 'globMatch':
      return 'CASBIN_GLOB';
    default:
      return 'CASBIN_REFUSED';
  }
  return /\/\*\/|[^/]\*|\*[^/]/.test(pattern) ? 'CASBIN_KEYMATCH_STAR' : 'CASBIN_KEYMATCH_REGEX';
}

function* hints(name: string, pattern: string): Iterable<Finding> {
  switch (name) {
    case 'keyMatch':
      yield* keyHints(pattern);
      return;
    case 'keyMatch2':
    case 'keyMatch3':
    case 'keyMatch4':
    case 'keyMatch5':
      yield* segmentHints(name, pattern);
      return;
    case 'regexMatch':
      yield* regexHints(pattern);
      return;
    case 'ipMatch':
      if (pattern.includes('/') && cidrWithoutHostBits(pattern) !== undefined) {
        yield {
          rule: 'CASBIN_CIDR_HOST_BITS',
          message: `${pattern} has host bits set; expected ${cidrWithoutHostBits(pattern)}`,
        };
      }
      return;
    default:
  }
}

function* keyHints(pattern: string): Iterable<Finding> {
  if (/\/:[A-Za-z0-9_-]+(\/|$)|\/\{[^/]*\}/.test(pattern)) {
    const message = `keyMatch "${pattern}": :name and {name} are plain text to keyMatch`;
    yield { rule: 'CASBIN_PATTERN_DIALECT', message };
  } else if (/^\^|\$$|\.\*$|\[.+\]|\|/.test(pattern)) {
    yield {
      rule: 'CASBIN_PATTERN_DIALECT',
      message: `keyMatch "${pattern}": regular expressions are plain text to keyMatch`,
    };
  }
  if (pattern.length > 1 && /[^/:.-]\*$/.test(pattern)) {
    const longer = `${pattern.slice(0, -1)}istrator`;
    yield { rule: 'CASBIN_KEYMATCH_PREFIX', message: `keyMatch "${pattern}" also matches ${longer}` };
  }
}

function* segmentHints(name: string, pattern: string): Iterable<Finding> {
  if (name === 'keyMatch2' && /\{[^/]*\}/.test(pattern)) {
    yield { rule: 'CASBIN_PATTERN_DIALECT', message: `keyMatch2 "${pattern}": {name} is plain text to keyMatch2` };
  }
  const names = [...pattern.matchAll(/\{([^/}]+)\}/g)].map(([, parameter]) => parameter);
  if (name === 'keyMatch4' && new Set(names).size < names.length) {
    const message = `keyMatch4 "${pattern}": other Casbin programs do not agree on a name that repeats`;
    yield { rule: 'CASBIN_KEYMATCH_REPEATED', message };
  }
  if (pattern.includes('.')) {
    yield { rule: 'CASBIN_KEYMATCH_DOT', message: `${name} "${pattern}": node-casbin takes the dot for any character` };
  }
  const rest = pattern.indexOf('/*');
  if (rest !== -1 && rest + 2 < pattern.length) {
    yield { rule: 'CASBIN_KEYMATCH_REST', message: `${name} "${pattern}": the inner * matches any number of segments` };
  }
}

function* regexHints(pattern: string): Iterable<Finding> {
  const branches = topLevelBranches(pattern);
  const anchored = (text: string): boolean => text.startsWith('^') && /(?<!\\)\$$/.test(text);
  if (branches.length > 1 && /^\^|\$$/.test(pattern) && !branches.every(anchored)) {
    yield { rule: 'CASBIN_REGEX_ALTERNATION', message: `regex "${pattern}": | binds weaker than ^ and $` };
  } else if (!branches.every(anchored)) {
    yield {
      rule: 'CASBIN_REGEX_UNANCHORED',
      message: `regex "${pattern}" is not anchored; node-casbin searches anywhere`,
    };
  }
  if (RE2JS.compile(pattern).testExact('')) {
    yield { rule: 'CASBIN_REGEX_MATCHES_EMPTY', message: `regex "${pattern}" matches the empty text` };
  }
  if (/\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)[+*{]/.test(pattern)) {
    yield { rule: 'CASBIN_REGEX_BACKTRACKING', message: `regex "${pattern}" repeats a repetition` };
  }
  if (/[A-Za-z0-9]\.[A-Za-z0-9]/.test(pattern.replaceAll(/\[[^\]]*\]/g, '[]').replaceAll(/\\./g, '\\\\'))) {
    yield { rule: 'CASBIN_REGEX_DOT', message: `regex "${pattern}": a dot is any character` };
  }
}

/** Parts between the | that stand in no brackets. */
function topLevelBranches(pattern: string): string[] {
  const branches = [''];
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '\\') {
      branches.push(`${branches.pop() ?? ''}${pattern.slice(at, at + 2)}`);
      at++;
      continue;
    }
    if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    if (character === '|' && depth === 0 && !inClass) branches.push('');
    else branches.push(`${branches.pop() ?? ''}${character}`);
  }
  return branches;
}

function isEverything(name: string, pattern: string): boolean {
  switch (name) {
    case 'keyMatch':
    case 'keyMatch2':
    case 'keyMatch3':
    case 'keyMatch4':
    case 'keyMatch5':
      return pattern === '*' || pattern === '/*';
    case 'globMatch':
      return /^\/?\*\*?$/.test(pattern);
    case 'regexMatch':
      return /^\^?\(?(\/?\.\*|\.\+|\/?\[\^\]\*)\)?\$?$/.test(pattern);
    case 'ipMatch':
      return pattern.endsWith('/0');
    default:
      return false;
  }
}

/** Signs that mean something only to a matching function, in a column that is compared as text. */
export function looksLikePattern(value: string): boolean {
  return value === '*' || /\/\*|\*$|\/:[A-Za-z_]|\{[A-Za-z_]\w*\}|^\^.*\$$|\.\*/.test(value);
}
