// What node-casbin loads and this engine does not: each kind with a predicate on the instance (never on what the engine
// said), the code it has to be refused with, and a way to spoil an instance so that the predicate holds.
import { parseNetwork } from './addresses.ts';
import { type Instance, linksOf, type Matcher, partsOf, policyLines, type Term, termsOf } from './language.ts';
import { partsInForce, shapeOf } from './request-shape.ts';
import type { Draw } from './random.ts';

export interface Refusal {
  readonly id: string;
  /** What node-casbin makes of it. */
  readonly casbin: string;
  readonly code: readonly string[];
  /** node-casbin never returns for it, so it is not asked. */
  readonly hangs?: true;
  readonly holds: (instance: Instance) => boolean;
  /** Undefined where the instance offers nothing to spoil. */
  readonly spoil: (instance: Instance, draw: Draw) => Instance | undefined;
}

type Call = Extract<Matcher, { kind: 'call' }>;

const POLICY = 'ENGINE_CASBIN_POLICY';
const MATCHER = 'ENGINE_CASBIN_MATCHER';
/** A pattern stands in a line, or as a text in the matcher or in a rule. */
const PATTERN = [POLICY, MATCHER];

const calls = (instance: Instance): readonly Call[] => partsInForce(instance).filter((part) => part.kind === 'call');

/** Every pattern of one function, from the matcher and from each line. */
function patternsOf(instance: Instance, names: readonly string[]): readonly { name: string; pattern: string }[] {
  return calls(instance).flatMap(({ name, values }) => {
    const term = values[1];
    if (!names.includes(name) || term === undefined) return [];
    const texts =
      term.kind === 'text' ? [term.text] : policyLines(instance).map((line) => columnOf(term, instance, line));
    return [...new Set(texts)].flatMap((pattern) => (pattern === undefined ? [] : [{ name, pattern }]));
  });
}

function columnOf(term: Term, instance: Instance, line: readonly string[]): string | undefined {
  return term.kind === 'policy' ? line[instance.columns.indexOf(term.column)] : undefined;
}

function withColumn(instance: Instance, names: readonly string[], text: string, draw: Draw): Instance | undefined {
  const columns = calls(instance).flatMap(({ name, values }) =>
    names.includes(name) && values[1]?.kind === 'policy' ? [instance.columns.indexOf(values[1].column)] : [],
  );
  if (columns.length === 0) return undefined;
  const column = draw.pick(columns) + 1;
  return onLine(instance, 'p', draw, (line) => line.map((value, index) => (index === column ? text : value)));
}

function onLine(
  instance: Instance,
  type: string,
  draw: Draw,
  change: (line: readonly string[]) => readonly string[],
): Instance | undefined {
  const places = instance.lines.flatMap((line, index) => (line[0] === type ? [index] : []));
  if (places.length === 0) return undefined;
  const place = draw.pick(places);
  return { ...instance, lines: instance.lines.map((line, index) => (index === place ? change(line) : line)) };
}

const conjoined = (instance: Instance, part: Matcher): Instance => ({
  ...instance,
  matcher: {
    kind: 'and',
    parts: [...(instance.matcher.kind === 'and' ? instance.matcher.parts : [instance.matcher]), part],
  },
});

const parameterMatchers = ['keyMatch2', 'keyMatch3', 'keyMatch4', 'keyMatch5'];
const functions = new Set(['keyMatch', ...parameterMatchers, 'globMatch', 'regexMatch', 'ipMatch']);
const opening = (name: string): string => (name === 'keyMatch2' ? ':' : '{');

/** A segment that is neither text, nor a parameter, nor a star of its own. */
function badSegment(name: string, pattern: string): boolean {
  if (name === 'keyMatch2' && pattern === '*') return false;
  return pattern.split('/').some((segment, index) => {
    const parameter = name === 'keyMatch2' ? /^:[\w-]+$/ : /^\{[\w-]+\}$/;
    if (index > 0 && (segment === '*' || parameter.test(segment))) return false;
    return /[*:|(){}[\]+?^$\\]/.test(segment);
  });
}

const endless = (name: string, pattern: string): boolean =>
  pattern
    .split('/')
    .some((segment, index) => index > 0 && segment.startsWith(opening(name)) && badSegment(name, pattern));

function depthBeyond(instance: Instance, name: string, limit: number): boolean {
  const lines = linksOf(instance, name);
  const starts = new Set(lines.map(([member = '', , domain = '']) => JSON.stringify([member, domain])));
  for (const start of starts) {
    const [member, domain] = JSON.parse(start) as [string, string];
    const seen = new Set([member]);
    let front = [member];
    for (let depth = 0; front.length > 0; depth++) {
      if (depth > limit) return true;
      front = lines
        .filter(([from = '', , inside = '']) => inside === domain && front.includes(from))
        .map(([, to = '']) => to);
      front = [...new Set(front)].filter((role) => !seen.has(role));
      for (const role of front) seen.add(role);
    }
  }
  return false;
}

export const refusals: readonly Refusal[] = [
  {
    id: 'effect-unknown',
    casbin: 'an unknown effect is ignored, so that a misspelt deny denies nothing',
    code: [POLICY],
    holds: (instance) => {
      const column = instance.columns.indexOf('eft');
      return column !== -1 && policyLines(instance).some((line) => line[column] !== 'allow' && line[column] !== 'deny');
    },
    spoil: (instance, draw) => {
      const column = instance.columns.indexOf('eft') + 1;
      if (column === 0) return undefined;
      const text = draw.pick(['Deny', 'DENY', 'denied', 'Allow', 'true', '0']);
      return onLine(instance, 'p', draw, (line) => line.map((value, index) => (index === column ? text : value)));
    },
  },
  {
    id: 'column-count',
    casbin: 'a missing effect allows, surplus columns are ignored',
    code: [POLICY],
    holds: (instance) =>
      policyLines(instance).some((line) => line.length !== instance.columns.length) ||
      [...instance.roles].some(([name, arity]) => linksOf(instance, name).some((line) => line.length !== arity)),
    spoil: (instance, draw) =>
      onLine(instance, draw.pick(['p', 'p', 'g']), draw, (line) =>
        line[0] === 'p' && draw.chance(0.5) ? line.slice(0, -1) : [...line, draw.pick(['deny', 'x'])],
      ),
  },
  {
    id: 'line-type-unknown',
    casbin: 'unknown lines are ignored',
    code: [POLICY],
    holds: (instance) => instance.lines.some(([type = '']) => type !== 'p' && !instance.roles.has(type)),
    spoil: (instance, draw) =>
      onLine(instance, 'p', draw, (line) => [draw.pick(['P', 'p2', 'deny', 'g9', '__proto__']), ...line.slice(1)]),
  },
  {
    id: 'column-empty',
    casbin: 'an empty column equals a missing value',
    code: [POLICY],
    holds: (instance) => instance.lines.some((line) => line.includes('')),
    spoil: (instance, draw) =>
      onLine(instance, draw.pick(['p', 'g']), draw, (line) => {
        const at = draw.between(1, line.length - 1);
        return line.map((value, index) => (index === at ? '' : value));
      }),
  },
  {
    id: 'brackets-unpaired',
    casbin: 'columns are joined until their brackets pair up',
    code: [POLICY],
    holds: (instance) =>
      instance.lines.some((line) => line.some((value) => value.split('(').length !== value.split(')').length)),
    spoil: (instance, draw) => {
      const [first, second] = ['a(', 'b)'];
      return onLine(instance, 'p', draw, (line) =>
        line.map((value, index) => (index === 1 ? first : index === 2 ? second : value)),
      );
    },
  },
  {
    id: 'roles-too-deep',
    casbin: 'role chains end silently after ten links',
    code: ['ENGINE_CASBIN_TOO_LARGE'],
    holds: (instance) => [...instance.roles.keys()].some((name) => depthBeyond(instance, name, 10)),
    spoil: (instance, draw) => {
      const [role] = draw.shuffled([...instance.roles]);
      if (role === undefined) return undefined;
      const [name, arity] = role;
      const rest = arity === 3 ? ['north'] : [];
      const chain = Array.from({ length: 11 }, (_, link) => [name, `deep-${link}`, `deep-${link + 1}`, ...rest]);
      return { ...instance, lines: [...instance.lines, ...chain] };
    },
  },
  {
    id: 'pattern-endless',
    casbin: '/: and /{ loop for ever',
    code: PATTERN,
    hangs: true,
    holds: (instance) => patternsOf(instance, parameterMatchers).some(({ name, pattern }) => endless(name, pattern)),
    spoil: (instance, draw) =>
      withColumn(instance, ['keyMatch2'], draw.pick(['/:', '/a/:', '/:/x']), draw) ??
      withColumn(instance, parameterMatchers.slice(1), draw.pick(['/{', '/{}', '/{a']), draw),
  },
  {
    id: 'pattern-is-regex',
    casbin: 'other regex signs in a key pattern keep their meaning: /a|/b matches /zzz/b',
    code: PATTERN,
    holds: (instance) => patternsOf(instance, parameterMatchers).some(({ name, pattern }) => badSegment(name, pattern)),
    spoil: (instance, draw) =>
      withColumn(
        instance,
        parameterMatchers,
        draw.pick(['/a|/b', '/foo*', '/a+', '/[ab]', '/(a)/b', '^/a', '/a$', 'a*']),
        draw,
      ),
  },
  {
    id: 'text-after-star',
    casbin: 'keyMatch ignores what follows a star',
    code: PATTERN,
    holds: (instance) =>
      patternsOf(instance, ['keyMatch']).some(
        ({ pattern }) => pattern.includes('*') && pattern.indexOf('*') !== pattern.length - 1,
      ),
    spoil: (instance, draw) => withColumn(instance, ['keyMatch'], draw.pick(['/a/*/public', '*/b', '/**']), draw),
  },
  {
    id: 'network-bad',
    casbin: '10.0.0.0/33 matches foreign addresses, other bad networks throw at each request',
    code: PATTERN,
    holds: (instance) => patternsOf(instance, ['ipMatch']).some(({ pattern }) => parseNetwork(pattern) === undefined),
    spoil: (instance, draw) =>
      withColumn(
        instance,
        ['ipMatch'],
        draw.pick([
          '10.0.0.0/33',
          '10.0.0.0/08',
          '10.0.0.0/-1',
          '10.0.0.0/',
          '::/129',
          '010.0.0.0/8',
          '::ffff:10.0.0.0/104',
          '10.0.0.0/8/8',
        ]),
        draw,
      ),
  },
  {
    id: 'regex-outside-common-part',
    casbin: 'regexes that RE2 lacks or reads in another way; those that JavaScript refuses throw at each request',
    code: PATTERN,
    holds: (instance) => patternsOf(instance, ['regexMatch']).some(({ pattern }) => !commonRegex(pattern)),
    spoil: (instance, draw) =>
      withColumn(
        instance,
        ['regexMatch'],
        draw.pick([
          '(?=read)',
          '(?!x).*',
          '(read)\\1',
          '[[:alpha:]]',
          '(?i)get',
          '\\s+',
          '[]',
          '(?<n>a)',
          '\\p{L}',
          '(',
          '[z-a]',
          'a**',
          '^*',
          'a{2',
          'a{,2}',
          'a{2}{3}',
          'a|*',
          ']',
          '{1}',
          '()',
        ]),
        draw,
      ),
  },
  {
    id: 'matcher-ignores-policy',
    casbin: 'a matcher that never looks at p is decided by the request alone',
    code: [MATCHER],
    holds: (instance) => !termsOf(instance.matcher).some(({ kind }) => kind === 'policy'),
    spoil: (instance, draw) => ({
      ...instance,
      matcher: {
        kind: 'compare',
        operator: '==',
        left: { kind: 'request', field: draw.pick(instance.fields) },
        right: { kind: 'text', text: 'alice', quote: '"' },
      },
    }),
  },
  {
    id: 'field-unknown',
    casbin: 'a misspelt field is missing, and missing equals missing',
    code: [MATCHER],
    holds: (instance) =>
      termsOf(instance.matcher).some(
        (term) =>
          (term.kind === 'request' && !instance.fields.includes(term.field)) ||
          (term.kind === 'policy' && !instance.columns.includes(term.column)),
      ),
    spoil: (instance, draw) => {
      // Missing equals missing in the reference, so a misspelt pair allows everything.
      const name = draw.pick(['risk', 'toString', 'nobody']);
      return conjoined(instance, {
        kind: 'compare',
        operator: draw.pick(['==', '!=']),
        left: { kind: 'request', field: name },
        right: { kind: 'policy', column: name },
      });
    },
  },
  {
    id: 'function-unknown',
    casbin: 'a function that is not there is false, and true behind a negation',
    code: [MATCHER],
    holds: (instance) => calls(instance).some(({ name }) => !instance.roles.has(name) && !functions.has(name)),
    spoil: (instance, draw) =>
      // A function that is not there answers undefined in the reference: false, and true after a negation.
      conjoined(instance, {
        kind: 'not',
        part: {
          kind: 'call',
          name: draw.pick(['isBlocked', 'g9', 'keymatch', 'constructor']),
          values: [
            { kind: 'request', field: draw.pick(instance.fields) },
            { kind: 'text', text: 'x', quote: '"' },
          ],
        },
      }),
  },
  {
    id: 'pattern-from-request',
    casbin: 'who asks brings the pattern',
    code: [MATCHER],
    holds: (instance) =>
      calls(instance).some(({ name, values }) => !instance.roles.has(name) && values[1]?.kind === 'request'),
    spoil: (instance, draw) =>
      conjoined(instance, {
        kind: 'call',
        name: draw.pick(['keyMatch', 'keyMatch2', 'regexMatch']),
        values: [
          { kind: 'policy', column: draw.pick(instance.columns) },
          { kind: 'request', field: draw.pick(instance.fields) },
        ],
      }),
  },
  {
    id: 'value-alone',
    casbin: 'any text that is not empty is true',
    code: [MATCHER],
    holds: (instance) =>
      partsInForce(instance).some(
        (part) => part.kind === 'value' && (part.term.kind !== 'request' || part.term.path === undefined),
      ),
    spoil: (instance, draw) =>
      conjoined(instance, { kind: 'value', term: { kind: 'request', field: draw.pick(instance.fields) } }),
  },
  {
    id: 'number-and-text',
    casbin: '10 equals the texts 10 and 1e1',
    code: [MATCHER],
    holds: (instance) =>
      partsInForce(instance).some(
        (part) =>
          part.kind === 'compare' &&
          ['==', '!='].includes(part.operator) &&
          (isMixed(part.left, part.right) || isMixed(part.right, part.left)),
      ),
    spoil: (instance, draw) =>
      conjoined(instance, {
        kind: 'compare',
        operator: '==',
        left: { kind: 'policy', column: draw.pick(instance.columns) },
        right: { kind: 'number', value: 10 },
      }),
  },
  {
    id: 'field-two-kinds',
    casbin: 'a field that is used as text and as number is coerced',
    code: [MATCHER],
    holds: (instance) => shapeOf(instance).torn,
    spoil: (instance, draw) =>
      conjoined(instance, {
        kind: 'compare',
        operator: draw.pick(['<', '>=']),
        left: { kind: 'request', field: draw.pick(instance.fields) },
        right: { kind: 'number', value: 10 },
      }),
  },
  {
    id: 'column-no-number',
    casbin: 'a limit that is no number is compared as text or never reached',
    code: [POLICY],
    holds: (instance) =>
      orderedColumns(instance).some((column) =>
        policyLines(instance).some((line) => !/^-?(0|[1-9]\d{0,14})(\.\d{1,9})?$/.test(line[column] ?? '')),
      ),
    spoil: (instance, draw) => {
      const columns = orderedColumns(instance);
      if (columns.length === 0) return undefined;
      const column = draw.pick(columns) + 1;
      const text = draw.pick(['ten', '1e3', '0x10', ' 1 0', '01', '1.', 'NaN', 'Infinity']);
      return onLine(instance, 'p', draw, (line) => line.map((value, index) => (index === column ? text : value)));
    },
  },
  {
    id: 'priority-unused',
    casbin: 'a column priority sorts the lines and decides nothing',
    code: ['ENGINE_CASBIN_MODEL'],
    holds: (instance) => instance.columns.includes('priority') && instance.effect !== 'priority',
    spoil: (instance) => (instance.columns.includes('priority') ? { ...instance, effect: 'deny-override' } : undefined),
  },
  {
    id: 'priority-no-number',
    casbin: 'the priority 1x is 1, and what is no number sorts anywhere',
    code: [POLICY],
    holds: (instance) => {
      const column = instance.columns.indexOf('priority');
      return column !== -1 && policyLines(instance).some((line) => !/^(0|-?[1-9]\d{0,8})$/.test(line[column] ?? ''));
    },
    spoil: (instance, draw) => {
      const column = instance.columns.indexOf('priority') + 1;
      if (column === 0) return undefined;
      const text = draw.pick(['1x', 'high', '1.5', '-0', '01', '']);
      return onLine(instance, 'p', draw, (line) => line.map((value, index) => (index === column ? text : value)));
    },
  },
  {
    id: 'rule-unreadable',
    casbin: 'a rule for eval that cannot be read throws at each request',
    code: [MATCHER],
    holds: (instance) =>
      ruleColumns(instance).some((column) =>
        policyLines(instance).some((line) => !instance.rules.has(line[column] ?? '')),
      ),
    spoil: (instance, draw) => {
      const columns = ruleColumns(instance);
      if (columns.length === 0) return undefined;
      const column = draw.pick(columns) + 1;
      const field = draw.pick(instance.fields);
      const text = draw.pick([
        'true',
        `r.${field}`,
        `r.${field} = 'x'`,
        'eval(p.rule)',
        `r.${field} === 'x'`,
        '1',
        `keyMatch(r.${field}, p.rule)`,
      ]);
      return onLine(instance, 'p', draw, (line) => line.map((value, index) => (index === column ? text : value)));
    },
  },
  {
    id: 'glob-unsupported',
    casbin: 'braces, classes, extended globs, !, # and ** inside mean what minimatch makes of them',
    code: PATTERN,
    holds: (instance) => patternsOf(instance, ['globMatch']).some(({ pattern }) => !plainGlob(pattern)),
    spoil: (instance, draw) =>
      withColumn(
        instance,
        ['globMatch'],
        draw.pick([
          '*/a',
          '/{a,b}',
          '/[ab]',
          '!/a',
          '#a',
          '/+(a)',
          '/a/',
          '/a//b',
          '/a/**/b',
          '/../a',
          '/a*?b',
          '/a**',
        ]),
        draw,
      ),
  },
  {
    id: 'star-in-keyMatch4',
    casbin: 'a star is any text, slashes too',
    code: PATTERN,
    holds: (instance) => patternsOf(instance, ['keyMatch4']).some(({ pattern }) => /\/\*\//.test(pattern)),
    spoil: (instance, draw) => withColumn(instance, ['keyMatch4'], draw.pick(['/a/*/{id}', '/*/b']), draw),
  },
  {
    id: 'attribute-reserved',
    casbin: '__proto__, prototype and constructor throw at each request',
    code: [MATCHER],
    holds: (instance) =>
      partsInForce(instance)
        .flatMap(termsOf)
        .some((term) => term.kind === 'request' && term.path?.some((name) => reserved.includes(name)) === true),
    spoil: (instance, draw) =>
      conjoined(instance, {
        kind: 'compare',
        operator: '!=',
        left: { kind: 'request', field: draw.pick(instance.fields), path: [draw.pick(reserved)] },
        right: { kind: 'text', text: 'x', quote: '"' },
      }),
  },
];

const reserved = ['__proto__', 'prototype', 'constructor'];

/** Columns that the matcher, not a rule, compares by order. */
function orderedColumns(instance: Instance): readonly number[] {
  return partsOf(instance.matcher).flatMap((part) =>
    part.kind === 'compare' && part.operator !== '==' && part.operator !== '!='
      ? [part.left, part.right].flatMap((term) =>
          term.kind === 'policy' ? [instance.columns.indexOf(term.column)] : [],
        )
      : [],
  );
}

const ruleColumns = (instance: Instance): readonly number[] =>
  partsOf(instance.matcher).flatMap((part) => (part.kind === 'eval' ? [instance.columns.indexOf(part.column)] : []));

/** A number or boolean beside a column, a text or a bare field, which hold texts. */
const isMixed = (constant: Term, other: Term): boolean =>
  (constant.kind === 'number' || constant.kind === 'boolean') &&
  other.kind !== constant.kind &&
  !(other.kind === 'request' && other.path !== undefined);

/** Stars and question marks, not both in one segment; two stars as the last segment; no empty or dot segments. */
function plainGlob(pattern: string): boolean {
  if (/[[\]{}()\\|+@!#]/.test(pattern) || pattern.startsWith('*/')) return false;
  return pattern.split('/').every((segment, index, all) => {
    if (segment === '**') return index === all.length - 1;
    if (segment.includes('**') || (segment.includes('*') && segment.includes('?'))) return false;
    return (segment !== '' || index === 0) && segment !== '.' && segment !== '..';
  });
}

/** Tries kinds in random order until one applies; the predicates alone say what has to be refused. */
export function spoil(instance: Instance, draw: Draw): Instance {
  for (const refusal of draw.shuffled(refusals)) {
    const spoilt = refusal.spoil(instance, draw);
    if (spoilt !== undefined) return spoilt;
  }
  return instance;
}

/** Plain and (?:...) groups, the escapes that both dialects share, classes without POSIX names, and valid as JavaScript. */
function commonRegex(pattern: string): boolean {
  if (pattern === '' || /[\u{10000}-\u{10ffff}]/u.test(pattern)) return false;
  try {
    // The constructor of a text, not code: linear patterns only are ever run.
    RegExp(pattern);
  } catch {
    return false;
  }
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const rest = pattern.slice(at);
    if (rest.startsWith('\\')) {
      if (!'dDwWbB.-+*?()[]{}|^$/\\'.includes(rest[1] ?? '\n')) return false;
      at++;
    } else if (inClass) {
      if (/^\[[:.=]/.test(rest)) return false;
      inClass = !rest.startsWith(']');
    } else if (/^\[\^?\]/.test(rest)) {
      return false;
    } else if (rest.startsWith('[')) {
      inClass = true;
      if (/^\[[:.=]/.test(rest.slice(1))) return false;
    } else if (rest.startsWith('(?') && !rest.startsWith('(?:')) {
      return false;
    }
  }
  return true;
}
