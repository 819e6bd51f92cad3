// regexMatch in linear time (RE2 syntax). The reference searches anywhere in the value, so that FORGET matches GET
// (fault 9); here the whole value has to match to allow, while a match anywhere is enough to deny.
import { RE2JS } from 're2js';
import type { Fail, Pattern } from './pattern.ts';
import { MAX_REGEX_SIZE } from '../limits.ts';
import { countWork } from './work.ts';

export function regexPattern(pattern: string, fail: Fail): Pattern {
  if (pattern === '') throw fail('an empty regex matches everything in casbin');
  // The common part of both dialects: what means one thing in RE2 and another in JavaScript is refused.
  if (/\\(?![dDwWbB.\-+*?()[\]{}|^$/\\])/.test(pattern))
    throw fail(`regex "${pattern}": an escape that is not supported`);
  if (/\(\?(?!:)/.test(pattern)) throw fail(`regex "${pattern}": only plain and (?:...) groups are supported`);
  if (/\[\^?\]|\[[^\]]*\[[:.=]/.test(pattern))
    throw fail(`regex "${pattern}": a character class that is not supported`);
  const tooLarge = (): Error => fail(`regex "${pattern}": too large, write it with fewer or smaller repetitions`);
  if (repetitions(pattern) > MAX_REGEX_SIZE) throw tooLarge();
  if (beyondBmp.test(pattern))
    throw fail(`regex "${pattern}": a character outside the BMP is two characters to casbin`);
  const expression = compile(pattern, fail);
  const instructions = expression.programSize();
  if (instructions > MAX_REGEX_SIZE) throw tooLarge();
  const counted = (value: string): RE2JS => {
    countWork(instructions * (value.length + 1));
    return expression;
  };
  const names = alternatives(pattern);
  return {
    exact:
      names === undefined
        ? (value) => !beyondBmp.test(value) && counted(value).testExact(value)
        : (value) => names.has(value),
    wide: (value) => beyondBmp.test(value) || counted(value).test(value),
    size: instructions,
  };
}

/**
 * The reference counts such a character twice, RE2 once, so what a dot or a class makes of it is unknown: it never helps to
 * allow, and denies.
 */
const beyondBmp = /[\u{10000}-\u{10ffff}]/u;

/** How often counted repetitions repeat, all together: they are what makes a short regex large. */
function repetitions(pattern: string): number {
  let sum = 0;
  for (const [, least = '0', most = ''] of pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    sum += Math.max(Number(least), Number(most));
  }
  return sum;
}

/** The texts of `^(GET|POST)$`, the usual regex for an action, which are compared as texts. */
function alternatives(pattern: string): ReadonlySet<string> | undefined {
  const inner = /^\^?(?:\(([\w|-]+)\)|([\w-]+))\$?$/.exec(pattern);
  const texts = (inner?.[1] ?? inner?.[2])?.split('|');
  return texts === undefined || texts.includes('') ? undefined : new Set(texts);
}

function compile(pattern: string, fail: Fail): RE2JS {
  try {
    // Only for its error: ^* and \b+ repeat nothing in JavaScript and are something in RE2.
    void new RegExp(pattern);
    return RE2JS.compile(pattern);
  } catch (error) {
    throw fail(`regex "${pattern}": ${error instanceof Error ? error.message : 'not valid'}`);
  }
}
