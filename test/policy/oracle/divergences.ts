// The published list of answers that differ from node-casbin's on purpose. spec.ts has a switch for every row that shows
// in an answer, refusals.ts a predicate for every row that does not compile; divergences.test.ts shows each on its
// example, and keeps the table in policy/engine/casbin/README.md equal to this one.
import type { EffectName, RequestValue } from './language.ts';
import type { Answer } from './spec.ts';

export const answerDivergences = [
  'empty-policy',
  'unusable-value',
  'bad-address',
  'regex-whole',
  'literal-dot',
  'code-points',
  'glob-slashes',
  'repeated-names',
  'mapped-address',
  'compatible-address',
  'missing-attribute',
  'mistyped-attribute',
  'attribute-names',
  'numeric-columns',
  'in-binds',
  'in-one',
  'text-operators',
  'role-memo',
  'quotes-kept',
  'error-denies',
] as const;
export type DivergenceId = (typeof answerDivergences)[number];

export const everyDivergence: ReadonlySet<DivergenceId> = new Set(answerDivergences);

export interface Example {
  readonly fields?: string;
  readonly columns?: string;
  readonly effect?: EffectName;
  readonly roles?: string;
  readonly matcher: string;
  readonly policy: string;
  readonly request: readonly RequestValue[];
  readonly casbin: Answer;
  readonly here: 'allow' | 'deny';
}

export interface Divergence {
  readonly id: DivergenceId;
  readonly casbin: string;
  readonly here: string;
  readonly why: string;
  /** Why it is right that this engine allows where node-casbin denies; absent where it never does. */
  readonly widens?: string;
  /** Why it is right that this engine allows where node-casbin throws; absent where it never does. */
  readonly answers?: string;
  readonly example: Example;
}

const onName = 'r.sub == p.sub';
const onObject = (call: string): string => `r.sub == p.sub&&${call}`;

export const divergences: readonly Divergence[] = [
  {
    id: 'empty-policy',
    casbin: 'an empty policy answers deny-override with yes, and empty columns equal what a bug leaves empty',
    here: 'an empty policy denies',
    why: 'a policy that failed to load must not open anything',
    example: {
      matcher: onName,
      effect: 'deny-override',
      columns: 'sub, obj, eft',
      policy: '',
      request: ['alice', '/a'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'unusable-value',
    casbin:
      'empty values, control characters, line separators, halves of characters and values of any length are compared',
    here: 'such a request is denied before anything is compared',
    why: 'other readers of the same value cut, join or drop them',
    example: {
      matcher: 'r.sub == p.sub&&keyMatch(r.obj, p.obj)',
      policy: 'p, alice, /a/*',
      request: ['alice', '/a/b\u0000'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'bad-address',
    casbin:
      'ipMatch throws for what is no address, reads 10.0.0.01 as 10.0.0.1, and does not look where another condition fails first',
    here: 'a field that ipMatch reads has to be an address, written one way; else the request is denied',
    why: 'octal, short and zoned forms are another address to another program',
    answers: 'an attribute that is no address is unknown; another condition or line opens the request without it',
    example: {
      matcher: onObject('ipMatch(r.obj, p.obj)'),
      policy: 'p, alice, 10.0.0.0/8',
      request: ['alice', '10.0.0.01'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'regex-whole',
    casbin: 'regexMatch finds the pattern anywhere: FORGET matches GET',
    here: 'the whole value has to match to allow; anywhere is enough to deny, also behind a negation',
    why: 'who writes GET means GET',
    example: {
      matcher: onObject('regexMatch(r.obj, p.obj)'),
      policy: 'p, alice, GET',
      request: ['alice', 'FORGET'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'literal-dot',
    casbin: 'a dot in a key pattern is any character: /v1.0/:id matches /v1X0/7',
    here: 'a dot to allow, any character to deny',
    why: 'a path pattern is text between its parameters',
    example: {
      matcher: onObject('keyMatch2(r.obj, p.obj)'),
      policy: 'p, alice, /v1.0/:id',
      request: ['alice', '/v1X0/7'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'code-points',
    casbin: 'a regex counts halves of characters outside the basic plane: ^..$ matches 💧',
    here: 'what such a value is to a regex is unknown: it never helps to allow, and denies',
    why: 'regexes that run in linear time count it once, so a deny that counts on two would miss it',
    example: {
      matcher: onObject('regexMatch(r.obj, p.obj)'),
      policy: 'p, alice, ^..$',
      request: ['alice', '💧'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'glob-slashes',
    casbin: 'globMatch joins slashes and drops the last one: /a//b/ matches /a/b',
    here: 'the value as it stands to allow, both ways to deny',
    why: 'whoever serves the path may not join them',
    example: {
      matcher: onObject('globMatch(r.obj, p.obj)'),
      policy: 'p, alice, /a/*',
      request: ['alice', '/a//b'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'repeated-names',
    casbin: 'keyMatch4 compares all parameters with the first as soon as one name stands twice (fault 12)',
    here: 'parameters of one name are equal, others are free; to deny, a pattern with a dot does not compare them',
    why: 'it is what the function is documented to do',
    widens: 'the pattern that its author wrote: /p/1/c/1/x/2 is an instance of /p/{id}/c/{id}/x/{o}',
    example: {
      matcher: onObject('keyMatch4(r.obj, p.obj)'),
      policy: 'p, alice, /p/{id}/c/{id}/x/{o}',
      request: ['alice', '/p/1/c/1/x/2'],
      casbin: 'deny',
      here: 'allow',
    },
  },
  {
    id: 'mapped-address',
    casbin: '::ffff:10.0.0.1 is not in 10.0.0.0/8, so a deny of the network is passed by writing the address longer',
    here: 'an IPv4-mapped address is the IPv4 address it carries',
    why: 'sockets report IPv4 peers in this form; rules on IPv4 networks have to hold for them',
    widens:
      'the same host, reported by a dual-stack socket (RFC 4291 section 2.5.5.2); grants of its network are meant for it',
    example: {
      matcher: onObject('ipMatch(r.obj, p.obj)'),
      policy: 'p, alice, 10.0.0.0/8',
      request: ['alice', '::ffff:10.0.0.1'],
      casbin: 'deny',
      here: 'allow',
    },
  },
  {
    id: 'compatible-address',
    casbin: '::1 equals 0.0.0.1, and ::a00:1 equals 10.0.0.1',
    here: 'an IPv6 address in ::/96 is no IPv4 address',
    why: 'the form is deprecated (RFC 4291 section 2.5.5.1), and ::1 is the loopback',
    widens: 'a deny of the IPv4 address 0.0.0.1 says nothing about the loopback',
    example: {
      matcher: onObject('ipMatch(r.obj, p.obj)'),
      policy: 'p, alice, 10.0.0.1',
      request: ['alice', '::a00:1'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'missing-attribute',
    casbin:
      'a missing attribute is undefined: it equals another missing one, differs from every text, or throws one level deeper',
    here: 'it is unknown: never enough to allow, always enough to deny, and the same after a negation',
    why: 'who leaves an attribute away must not gain by it',
    answers: 'another condition or line opens the request without the attribute',
    example: {
      matcher: "r.sub.role != 'guest'&&r.obj == p.obj",
      policy: 'p, alice, /a',
      request: [{}, '/a'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'mistyped-attribute',
    casbin: 'types are coerced: true equals 1, the number 7 equals the text 7, and 1 is a role name',
    here: 'an attribute of another type is unknown',
    why: 'a comparison that its author did not write must not open anything',
    answers: 'another condition or line opens the request without the attribute',
    example: {
      matcher: 'r.sub.level == 7&&r.obj == p.obj',
      policy: 'p, alice, /a',
      request: [{ level: '7' }, '/a'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'attribute-names',
    casbin: 'attributes whose name contains prototype, begins with __proto__ or ends with constructor throw',
    here: 'only __proto__, prototype and constructor themselves are no attributes; they do not compile',
    why: 'attributes are own properties alone, so that nothing is behind a name',
    answers: 'the attribute is there and has the value asked for',
    example: {
      matcher: 'r.sub.prototypes == p.sub',
      policy: 'p, alice, /a',
      request: [{ prototypes: 'alice' }, '/a'],
      casbin: 'error',
      here: 'allow',
    },
  },
  {
    id: 'numeric-columns',
    casbin: 'two columns are compared as texts: 10 is less than 9',
    here: 'columns that are compared by order are numbers',
    why: 'limits are numbers',
    widens: 'the order of the numbers that stand in the line',
    example: { matcher: 'p.sub < p.obj', policy: 'p, 9, 10', request: ['alice', '/a'], casbin: 'deny', here: 'allow' },
  },
  {
    id: 'in-binds',
    casbin: '`a || x in (...)` reads `(a || x) in (...)`, and `x in (...) && a` throws',
    here: '`in` is a comparison, as tight as ==',
    why: 'it says what its author sees',
    widens: 'the matcher read as every other comparison in it is read; brackets make both engines agree',
    answers: 'the same',
    example: {
      matcher: "r.sub == p.sub||r.obj in ('/x', '/y')",
      policy: 'p, alice, /a',
      request: ['alice', '/a'],
      casbin: 'deny',
      here: 'allow',
    },
  },
  {
    id: 'in-one',
    casbin: 'a list of one element is no list: `in` throws',
    here: 'a list of one element',
    why: 'removing an element of a list must not break every decision',
    answers: 'the element is listed',
    example: {
      matcher: "r.sub == p.sub&&(r.obj in ('/a'))",
      policy: 'p, alice, /a',
      request: ['alice', '/a'],
      casbin: 'error',
      here: 'allow',
    },
  },
  {
    id: 'text-operators',
    casbin: 'a single | or & inside a quoted text keeps the model from loading',
    here: 'a text is a text',
    why: 'the pattern (GET|PUT) in a matcher is no operator',
    answers: 'the text is compared as it stands',
    example: {
      matcher: onObject("regexMatch(r.obj, '^(GET|PUT)$')"),
      policy: 'p, alice, /a',
      request: ['alice', 'GET'],
      casbin: 'error',
      here: 'allow',
    },
  },
  {
    id: 'role-memo',
    casbin: 'links found are remembered under their names joined by commas: (`a,b`, `c`) answers for (`a`, `b,c`)',
    here: 'names are never joined',
    why: 'a name with a comma must not get the roles of another',
    example: {
      matcher: 'g(p.sub, p.obj)&&g(r.sub, r.obj)',
      roles: 'g = _, _',
      policy: 'p, "a,b", c\ng, "a,b", c',
      request: ['a', 'b,c'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'quotes-kept',
    casbin: 'quotes that are part of a value ("""x""" in CSV) are taken off',
    here: 'a value is what RFC 4180 says it is',
    why: 'two different values must not become one',
    widens: 'the request carries exactly the value that the line names',
    example: {
      matcher: onName,
      columns: 'sub',
      fields: 'sub',
      policy: 'p, """x"""',
      request: ['x'],
      casbin: 'allow',
      here: 'deny',
    },
  },
  {
    id: 'error-denies',
    casbin: 'enforce throws, and what that means is left to who calls it',
    here: 'the request is denied',
    why: 'an error never turns into an allow',
    example: {
      matcher: onObject('ipMatch(r.obj, p.obj)'),
      policy: 'p, alice, 10.0.0.0/8',
      request: ['alice', 'nowhere'],
      casbin: 'error',
      here: 'deny',
    },
  },
];

/** What no single answer shows; tests of these names stand in policy/engine/casbin. */
export const behaviours: readonly { readonly casbin: string; readonly here: string; readonly test: string }[] = [
  {
    casbin: 'while loadPolicy runs, and after it failed, the policy is empty',
    here: 'compiled aside; the old one stays',
    test: 'faults 2, 3, 15',
  },
  {
    casbin: 'cached answers under joined keys, also after a policy was removed',
    here: 'no cache; values are never joined without lengths',
    test: 'faults 5, 6',
  },
  { casbin: 'hostile paths and regexes take seconds', here: 'linear, and bounded for a decision', test: 'faults 8, 9' },
  { casbin: 'roles are walked without a visited set', here: 'closed when compiled', test: 'fault 16' },
];
