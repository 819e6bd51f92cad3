// Rules about casbin/<name>/policy.csv: lines, patterns, roles, and what the lines mean together.
import type { LintRule } from './lint-rule.ts';

export const casbinLineRules = {
  CASBIN_POLICY_EMPTY: {
    severity: 'error',
    waivable: false,
    explanation:
      'Over an empty policy node-casbin allows an empty request, and with deny-override everything (fault 1).',
    example: 'a policy.csv with comments only',
    fix: 'write at least one p line, or remove the folder and the casbin: that names it',
  },
  CASBIN_LINE_TYPE: {
    severity: 'error',
    waivable: false,
    explanation:
      'Casbin ignores a line whose type the model does not define: a deny written as P is no deny (fault 4).',
    example: 'P, hmi-1, /admin/*, GET, deny',
    fix: 'start the line with p, or with a role definition of the model',
  },
  CASBIN_COLUMN_COUNT: {
    severity: 'error',
    waivable: false,
    explanation:
      'Casbin ignores surplus columns and fills missing ones with nothing, which then equals nothing (faults 4 and 14).',
    example: 'p, hmi-1, /status, GET, deny for p = sub, obj, act',
    fix: 'write exactly the columns that the model names',
  },
  CASBIN_COLUMN_EMPTY: {
    severity: 'error',
    waivable: false,
    explanation: 'An empty value equals a missing one (faults 1 and 14).',
    example: 'p, , /status, GET',
    fix: 'write the value, or remove the line',
  },
  CASBIN_COLUMN_TEXT: {
    severity: 'error',
    waivable: false,
    explanation:
      'Control characters, unpaired brackets and endless columns are read differently by different readers of CSV.',
    example: 'p, hmi-1, "/a(b", GET',
    fix: 'remove what the message names',
  },
  CASBIN_QUOTE: {
    severity: 'error',
    waivable: false,
    explanation: 'A quote that is not closed, or stands inside a column, moves the borders of the columns.',
    example: 'p, hmi-1, "/status, GET',
    fix: 'quote the whole column and double a quote inside it',
  },
  CASBIN_COMMENT_INLINE: {
    severity: 'error',
    waivable: true,
    explanation:
      'Only whole lines are comments: behind a value the comment is part of the value, which then equals nothing.',
    example: 'p, hmi-1, /status, GET # the panel',
    fix: 'put the comment on a line of its own',
  },
  CASBIN_CACHE_KEY: {
    severity: 'warning',
    waivable: true,
    explanation:
      "The CachedEnforcer of node-casbin joins values with $$: the answer for ('a$$b', 'c') is also given to ('a', 'b$$c') (fault 5).",
    example: 'p, hmi-1, /a$$b, GET',
    fix: 'do without $$ in values, or without that cache in other programs that read the policy',
  },
  CASBIN_EFFECT_TYPO: {
    severity: 'error',
    waivable: false,
    explanation: 'Casbin takes every effect but deny for none or allow: Deny, DENY and denied do not deny (fault 4).',
    example: 'p, hmi-1, /admin/*, GET, Deny',
    fix: 'write allow or deny',
  },
  CASBIN_PRIORITY: {
    severity: 'error',
    waivable: false,
    explanation:
      'node-casbin reads 1x as 1 and sorts what is no number anywhere; the order of the lines is then chance.',
    example: 'p, 1st, hmi-1, /status, GET, allow',
    fix: 'write a whole number; lower comes first',
  },
  CASBIN_RULE: {
    severity: 'error',
    waivable: false,
    explanation:
      'eval reads this column as a matcher of its own; what is none makes node-casbin throw in the middle of a decision.',
    example: 'p, "r.sub = 1", /status, GET with eval(p.rule)',
    fix: 'see the message; policy/engine/casbin/README.md gives the grammar',
  },
  CASBIN_DENY_IGNORED: {
    severity: 'error',
    waivable: false,
    explanation: 'The effect of the model looks for allow lines only; this deny is not in force.',
    example: 'p, hmi-1, /admin/*, GET, deny with e = some(where (p.eft == allow))',
    fix: 'write e = some(where (p.eft == allow)) && !some(where (p.eft == deny)), or remove the line',
  },
  CASBIN_ALLOW_IGNORED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'The effect of the model looks for deny lines only; this allow says nothing, because all else is allowed anyway.',
    example: 'p, hmi-1, /status, GET, allow with e = !some(where (p.eft == deny))',
    fix: 'remove the line, or use an effect that asks for an allow',
  },
  CASBIN_REFUSED: {
    severity: 'error',
    waivable: false,
    explanation: 'The decision engine refuses the model or a line for a reason that no other rule names.',
    example: 'roles that expand to more than two million pairs',
    fix: 'see the message',
  },
} as const satisfies Record<string, LintRule>;

export const casbinPatternRules = {
  CASBIN_WILDCARD_LITERAL: {
    severity: 'error',
    waivable: true,
    explanation:
      'The matcher compares this column with ==, so the wildcard is text: an allow opens nothing, a deny denies nothing.',
    example: 'p, *, /status, GET with r.sub == p.sub',
    fix: 'name the value, or compare the column with keyMatch or keyMatch2',
  },
  CASBIN_PATTERN_DIALECT: {
    severity: 'error',
    waivable: true,
    explanation: 'The pattern is written for another function; this one takes its signs for plain text.',
    example: 'p, hmi-1, /pumps/:id, GET with keyMatch(r.obj, p.obj)',
    fix: 'use keyMatch2 for :name, keyMatch3 for {name}, regexMatch for regular expressions',
  },
  CASBIN_PATTERN_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation: 'An allow line whose pattern matches every value also opens what is added tomorrow.',
    example: 'p, hmi-1, /*, GET',
    fix: 'name the values, or a narrower pattern',
  },
  CASBIN_KEYMATCH_LOOP: {
    severity: 'error',
    waivable: false,
    explanation:
      'keyMatch2 on a : without a name, and keyMatch3 on a { without one, never return in node-casbin (fault 7).',
    example: 'p, hmi-1, /admin/:, GET',
    fix: 'give the parameter a name: /admin/:page',
  },
  CASBIN_KEYMATCH_TAIL: {
    severity: 'error',
    waivable: false,
    explanation: 'keyMatch ignores everything behind the first *: /a/*/public matches /a/x/secret (fault 11).',
    example: 'p, hmi-1, /a/*/public, GET',
    fix: 'end the pattern with *, or use keyMatch2 with :name for one segment',
  },
  CASBIN_KEYMATCH_PREFIX: {
    severity: 'warning',
    waivable: true,
    explanation:
      'keyMatch with a * that does not follow a slash matches longer names too: /admin* matches /administrator.',
    example: 'p, hmi-1, /admin*, GET',
    fix: 'write /admin/* (and /admin where it is meant too)',
  },
  CASBIN_KEYMATCH_REGEX: {
    severity: 'error',
    waivable: false,
    explanation:
      'keyMatch2 and 3 paste the pattern into a regular expression: /a|/b matches /zzz/b in node-casbin (fault 10).',
    example: 'p, hmi-1, /a|/b, GET',
    fix: 'write one line for each path',
  },
  CASBIN_KEYMATCH_STAR: {
    severity: 'error',
    waivable: false,
    explanation:
      'A * inside a segment of keyMatch2 or 3 repeats the letter before it: /foo* matches /fo and not /foobar (fault 10). keyMatch4 takes * only as the last segment.',
    example: 'p, hmi-1, /foo*, GET',
    fix: 'make * a whole segment: /foo/*',
  },
  CASBIN_KEYMATCH_DOT: {
    severity: 'warning',
    waivable: true,
    explanation:
      'node-casbin takes a dot in keyMatch2 or 3 for any character: /v1.0/:id matches /v1X0/a (fault 10). Here it is a dot to allow and any character to deny.',
    example: 'p, hmi-1, /v1.0/:id, GET',
    fix: 'avoid dots in such patterns, or accept that other Casbin programs read them wider',
  },
  CASBIN_KEYMATCH_REST: {
    severity: 'warning',
    waivable: true,
    explanation:
      'A * inside a keyMatch2 or 3 pattern matches any number of segments, and several make node-casbin take seconds on a hostile path (fault 8).',
    example: 'p, hmi-1, /*/status, GET',
    fix: 'use :name (keyMatch3: {name}) for one segment',
  },
  CASBIN_KEYMATCH_REPEATED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'With a name that repeats, keyMatch4 of node-casbin compares all parameters (fault 12); here only those of that name have to be equal.',
    example: 'p, hmi-1, /{id}/copy/{id}/{other}, GET',
    fix: 'give each parameter its own name where they may differ',
  },
  CASBIN_GLOB: {
    severity: 'error',
    waivable: false,
    explanation:
      'globMatch of node-casbin takes brackets, braces, ! and a ** inside for more than they look; here only *, ? and a last /** are patterns.',
    example: 'p, hmi-1, "/{a,b}", GET',
    fix: 'write one line for each alternative',
  },
  CASBIN_REGEX_SYNTAX: {
    severity: 'error',
    waivable: false,
    explanation: 'The expression is not valid, or means different things in RE2 and in JavaScript.',
    example: 'p, hmi-1, ^/a(b$, GET',
    fix: 'see the message; use the common part of RE2 and JavaScript',
  },
  CASBIN_REGEX_NONLINEAR: {
    severity: 'error',
    waivable: false,
    explanation:
      'Look-around and back-references cannot be matched in linear time; a hostile value could stop the edge.',
    example: 'p, hmi-1, ^/(?!admin).*$, GET',
    fix: 'name what is allowed instead of what is not',
  },
  CASBIN_REGEX_EMPTY: {
    severity: 'error',
    waivable: false,
    explanation: 'An empty expression matches every value in node-casbin (fault 9).',
    example: 'p, hmi-1, "", GET with regexMatch(r.obj, p.obj)',
    fix: 'write the expression',
  },
  CASBIN_REGEX_MATCHES_EMPTY: {
    severity: 'warning',
    waivable: true,
    explanation:
      'An expression that matches the empty text matches everything where a search is unanchored, as in node-casbin (fault 9).',
    example: 'p, hmi-1, (GET)?, /status',
    fix: 'demand at least one character: + instead of *, no optional whole',
  },
  CASBIN_REGEX_UNANCHORED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'node-casbin searches anywhere in the value: GET matches FORGET (fault 9). Here an allow needs the whole value.',
    example: 'p, hmi-1, /status, GET with regexMatch(r.act, p.act)',
    fix: 'write ^...$',
  },
  CASBIN_REGEX_ALTERNATION: {
    severity: 'warning',
    waivable: true,
    explanation: '| binds weaker than ^ and $: ^GET|POST$ is "starts with GET" or "ends with POST" (fault 9).',
    example: 'p, hmi-1, /status, ^GET|POST$',
    fix: 'write ^(GET|POST)$',
  },
  CASBIN_REGEX_BACKTRACKING: {
    severity: 'warning',
    waivable: true,
    explanation:
      'A repetition of a repetition takes node-casbin seconds on 28 characters (fault 9). The engine here is linear.',
    example: 'p, hmi-1, ^(a+)+$, GET',
    fix: 'repeat once: ^a+$',
  },
  CASBIN_REGEX_DOT: {
    severity: 'warning',
    waivable: true,
    explanation: 'A dot between letters or digits is any character: ^/v1.0/ also matches /v1X0/.',
    example: String.raw`p, hmi-1, ^/v1.0/status$, GET`,
    fix: String.raw`write \. for a dot, or [^/] for one character of a segment`,
  },
  CASBIN_ADDRESS: {
    severity: 'error',
    waivable: false,
    explanation: 'Not an IP address or network: node-casbin throws on it in the middle of a decision (fault 13).',
    example: 'p, 10.77.0, /status, GET',
    fix: 'write an address such as 10.77.0.11, or a network such as 10.77.0.0/24',
  },
  CASBIN_ADDRESS_MAPPED: {
    severity: 'error',
    waivable: false,
    explanation: 'node-casbin does not see the IPv4 address in ::ffff:10.0.0.1 (fault 13).',
    example: 'p, ::ffff:10.77.0.11, /status, GET',
    fix: 'write the IPv4 address',
  },
  CASBIN_CIDR_PREFIX: {
    severity: 'error',
    waivable: false,
    explanation: 'A prefix length that does not exist: 10.0.0.0/33 matches 99.0.0.1 in node-casbin (fault 13).',
    example: 'p, 10.77.0.0/33, /status, GET',
    fix: 'write a length of at most 32, for IPv6 at most 128',
  },
  CASBIN_CIDR_HOST_BITS: {
    severity: 'warning',
    waivable: true,
    explanation: 'A network written with host bits names one address and means many.',
    example: 'p, 10.77.0.11/24, /status, GET',
    fix: 'write the network address, or /32 (/128) for one host',
  },
} as const satisfies Record<string, LintRule>;

export const casbinMeaningRules = {
  CASBIN_ROLE_SELF: {
    severity: 'warning',
    waivable: false,
    explanation: 'Whoever is asked about has its own name as a role anyway; the line was meant to say something else.',
    example: 'g, viewer, viewer',
    fix: 'correct one of the names, or remove the line',
  },
  CASBIN_ROLE_CYCLE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Roles that have each other are one role under several names; node-casbin walks them without remembering (fault 16).',
    example: 'g, viewer, operator and g, operator, viewer',
    fix: 'remove one of the lines',
  },
  CASBIN_ROLE_DEPTH: {
    severity: 'error',
    waivable: false,
    explanation:
      'node-casbin silently stops after ten links of a role chain (fault 16): what stands behind is not in force there.',
    example: 'g, r1, r2 up to g, r11, r12',
    fix: 'flatten the roles',
  },
  CASBIN_ROLE_UNHELD: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Lines for a role that no device of the inventory has, directly or through other roles, decide nothing.',
    example: 'p, auditor, /log, GET without a g line for auditor',
    fix: 'give the role to somebody, correct its name, or remove its lines',
  },
  CASBIN_ROLE_UNREFERENCED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A role that no p line names, itself or through other roles, gives its members nothing.',
    example: 'g, hmi-1, veiwer',
    fix: 'correct the name, add the p line, or remove the line',
  },
  CASBIN_LINE_DUPLICATE: {
    severity: 'warning',
    waivable: true,
    explanation: 'The same line again; removing one of the two removes nothing, as somebody will find out.',
    example: 'g, hmi-1, viewer twice',
    fix: 'remove one',
  },
  CASBIN_LINE_SHADOWED: {
    severity: 'warning',
    waivable: true,
    explanation: 'Another line of the same effect matches every request that this one matches.',
    example: 'p, viewer, /status/a, GET beside p, viewer, /status/*, GET',
    fix: 'remove the narrower line, or narrow the wider one',
  },
  CASBIN_LINE_CONTRADICTORY: {
    severity: 'warning',
    waivable: true,
    explanation: 'The same line once with allow and once with deny; the deny wins, and one of the two is a mistake.',
    example: 'p, viewer, /status, GET, allow and p, viewer, /status, GET, deny',
    fix: 'remove one of the two',
  },
  CASBIN_LINE_DENIED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A deny line matches every request that this allow line matches, and beats it every time.',
    example: 'p, viewer, /admin/log, GET, allow beside p, viewer, /admin/*, GET, deny',
    fix: 'remove the allow, or narrow the deny',
  },
  CASBIN_LINE_UNREACHABLE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'No grant lets a request through to the model that this line could match: subject, interface, object or action never occurs.',
    example: 'p, hmi-1, /admin, DELETE where no granted operation has DELETE',
    fix: 'correct the value, or remove the line',
  },
  CASBIN_VALUE_CASE: {
    severity: 'warning',
    waivable: true,
    explanation: 'A value that differs from a known one only in case never equals it.',
    example: 'p, viewer, /status, get',
    fix: 'write it as the inventory, the interface or the protocol does',
  },
  CASBIN_ANALYSIS_CUT: {
    severity: 'warning',
    waivable: true,
    explanation:
      'The comparison of lines with each other stopped at its bound; some duplicates or shadows may be unreported.',
    example: 'a policy of 100,000 lines that all use regexMatch',
    fix: 'split the model, or use fewer distinct patterns for one subject',
  },
} as const satisfies Record<string, LintRule>;
