import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlace } from '../../../runtime/errors.ts';
import { loadRepository } from '../load.ts';
import { lintRules, type RuleId } from '../rules.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';

type CasbinRule = Extract<RuleId, `CASBIN_${string}`>;

const matchers = {
  equal: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act',
  key: 'r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act',
  key2: 'r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act',
  key3: 'r.sub == p.sub && keyMatch3(r.obj, p.obj) && r.act == p.act',
  regex: 'r.sub == p.sub && regexMatch(r.obj, p.obj) && r.act == p.act',
  glob: 'r.sub == p.sub && globMatch(r.obj, p.obj) && r.act == p.act',
  role: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act',
  roleKey: 'g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act',
  ip: 'ipMatch(r.sub, p.sub) && r.obj == p.obj && r.act == p.act',
} as const;

interface Parts {
  readonly r?: string;
  readonly p?: string;
  readonly g?: string;
  readonly e?: string;
  readonly m?: string;
}

const allow = 'some(where (p.eft == allow))';
const deny = '!some(where (p.eft == deny))';
const both = { p: 'sub, obj, act, eft', e: `${allow} && ${deny}` };

const byPriority = { p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' };
const documented = (test: string): Parts => ({
  r: 'subject, obj, act',
  m: `${test} && r.obj == p.obj && r.act == p.act`,
});
const crowded = { g: 'g = _, _\ng2 = _, _', m: 'g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act' };
const evaluated = 'eval(p.rule) && r.obj == p.obj && r.act == p.act';

/** Lines 1 to 10, role definitions from line 5 on where there are any. */
function modelOf({ r = 'sub, obj, act', p = 'sub, obj, act', g, e = allow, m = matchers.equal }: Parts): string {
  const roles = g === undefined ? '' : `[role_definition]\n${g}\n`;
  return `[request_definition]\nr = ${r}\n[policy_definition]\np = ${p}\n${roles}[policy_effect]\ne = ${e}\n[matchers]\nm = ${m}\n`;
}

const good = 'p, gateway-1, /status, GET\n';

/** `place rule` of every problem of the Casbin model, its interface left as in the sample. */
function casbinProblems(model: string, policy: string): string[] {
  const tree = treeOf({ ...sampleFiles, 'casbin/hmi/model.conf': model, 'casbin/hmi/policy.csv': policy });
  return loadRepository(tree, sampleNow)
    .problems.filter(({ place }) => place.file.startsWith('casbin/'))
    .map(({ place, rule }) => `${formatPlace(place).replace(/^casbin\/hmi\//, '')} ${rule}`);
}

type Case = readonly [parts: Parts | string, policy: string, place: string];

/** For each rule what it finds and where, and the nearest that it does not. */
const cases: Readonly<
  Record<CasbinRule, { fires: readonly Case[]; silent: readonly (readonly [Parts | string, string])[] }>
> = {
  CASBIN_SECTION_UNKNOWN: {
    fires: [[`${modelOf({})}[matcher]\nm = r.sub == p.sub\n`, good, 'model.conf:9:1']],
    silent: [[modelOf({}), good]],
  },
  CASBIN_SECTION_DUPLICATE: {
    fires: [[`${modelOf({})}[matchers]\n`, good, 'model.conf:9:1']],
    silent: [[modelOf({}), good]],
  },
  CASBIN_SECTION_MISSING: {
    fires: [
      [modelOf({}).replace(/\[policy_effect\]\n.*\n/, ''), good, 'model.conf:1:1'],
      [modelOf({}).replace(/e = .*\n/, ''), good, 'model.conf:5:1'],
    ],
    silent: [[modelOf({}), good]],
  },
  CASBIN_DEFINITION_SYNTAX: {
    fires: [
      [modelOf({}).replace('m = ', 'm '), good, 'model.conf:8:1'],
      [`r = sub\n${modelOf({})}`, good, 'model.conf:1:1'],
      [`${modelOf({})}m = r.sub == p.sub \\\n`, good, 'model.conf:10:1'],
    ],
    silent: [
      [modelOf({ m: 'r.sub == p.sub && \\\n  r.obj == p.obj && r.act == p.act' }), good],
      [`# a comment\n${modelOf({})}`, good],
    ],
  },
  CASBIN_DEFINITION_UNKNOWN: {
    fires: [[`${modelOf({})}m2 = r.sub == p.sub\n`, good, 'model.conf:9:1']],
    silent: [[modelOf({ g: 'g = _, _\ng2 = _, _' }), good]],
  },
  CASBIN_DEFINITION_DUPLICATE: {
    fires: [[`${modelOf({})}m = r.sub == p.sub\n`, good, 'model.conf:9:1']],
    silent: [[modelOf({}), good]],
  },
  CASBIN_FIELD_NAME: {
    fires: [
      [{ r: 'sub, obj, obj' }, good, 'model.conf:2:5'],
      [{ p: 'sub, o-bj, act' }, good, 'model.conf:4:5'],
    ],
    silent: [[{ p: 'sub, obj_1, act', m: matchers.equal.replace('p.obj', 'p.obj_1') }, good]],
  },
  CASBIN_REQUEST_FIELD_UNKNOWN: {
    fires: [[{ r: 'tenant, obj, act', m: matchers.equal.replace('r.sub', 'r.tenant') }, good, 'model.conf:2:5']],
    silent: [[{ r: 'sub, dom, obj, act', p: 'sub, dom, obj, act', m: `${matchers.equal} && r.dom == p.dom` }, good]],
  },
  CASBIN_REQUEST_FIELD_UNUSED: {
    fires: [[{ m: 'r.sub == p.sub && r.obj == p.obj && p.act == "GET"' }, good, 'model.conf:2:15']],
    silent: [[{ r: 'sub, obj', m: 'r.sub == p.sub && r.obj == p.obj && p.act == "GET"' }, good]],
  },
  CASBIN_POLICY_COLUMN_UNUSED: {
    fires: [[{ m: 'r.sub == p.sub && r.obj == p.obj && r.act == "GET"' }, good, 'model.conf:4:15']],
    silent: [[both, 'p, gateway-1, /status, GET, allow\n']],
  },
  CASBIN_ROLE_DEFINITION: {
    fires: [
      [{ g: 'g = _' }, good, 'model.conf:6:5'],
      [{ g: 'role = _, _' }, good, 'model.conf:6:1'],
    ],
    silent: [[{ g: 'g = _, _, _' }, good]],
  },
  CASBIN_ROLE_UNUSED: {
    fires: [[{ g: 'g = _, _' }, good, 'model.conf:6:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, good]],
  },
  CASBIN_EFFECT_UNKNOWN: {
    fires: [[{ e: 'some(where (p.eft = allow))' }, good, 'model.conf:6:5']],
    silent: [[{ e: 'some( where(p.eft==allow) )' }, good]],
  },
  CASBIN_EFFECT_COLUMN: {
    fires: [[{ e: deny }, good, 'model.conf:6:5']],
    silent: [[{ e: deny, p: 'sub, obj, act, eft' }, 'p, gateway-1, /status, GET, deny\n']],
  },
  CASBIN_DEFAULT_ALLOW: {
    fires: [[{ ...both, e: deny }, 'p, gateway-1, /status, GET, deny\n', 'model.conf:6:5']],
    silent: [[both, 'p, gateway-1, /status, GET, allow\n']],
  },
  CASBIN_MATCHER_SYNTAX: {
    fires: [
      [{ m: `r.sub = p.sub && ${matchers.equal}` }, good, 'model.conf:8:11'],
      [{ m: `${matchers.equal} && r.act == 1` }, good, 'model.conf:8:68'],
    ],
    silent: [[{ m: matchers.equal }, good]],
  },
  CASBIN_MATCHER_FIELD: {
    fires: [[{ m: 'r.user == p.sub && r.obj == p.object' }, good, 'model.conf:8:7']],
    silent: [[{ m: `${matchers.equal} && r.sub != "r.user"` }, good]],
  },
  CASBIN_MATCHER_FUNCTION: {
    fires: [[{ m: 'r.sub == p.sub && keymatch(r.obj, p.obj) && r.act == p.act' }, good, 'model.conf:8:23']],
    silent: [[{ m: 'r.sub == p.sub && r.obj == p.obj && r.act in (p.act, "HEAD")' }, good]],
  },
  CASBIN_MATCHER_CALL: {
    fires: [
      [{ m: 'r.sub == p.sub && keyMatch(p.obj, r.obj) && r.act == p.act' }, good, 'model.conf:8:39'],
      [{ g: 'g = _, _', m: 'g(r.sub) && r.obj == p.obj && r.act == p.act' }, good, 'model.conf:10:5'],
    ],
    silent: [[{ m: matchers.key }, good]],
  },
  CASBIN_MATCHER_IGNORES_POLICY: {
    fires: [[{ m: 'r.sub == "gateway-1"' }, good, 'model.conf:8:5']],
    silent: [[{ m: `r.sub == "gateway-1" && ${matchers.equal}` }, good]],
  },
  CASBIN_MATCHER_BYPASS: {
    fires: [[{ m: `r.sub == "gateway-1" || (${matchers.equal})` }, good, 'model.conf:8:5']],
    silent: [[{ m: '(r.sub == p.sub || r.obj == p.obj) && r.act == p.act' }, good]],
  },
  CASBIN_MATCHER_CONSTANT: {
    fires: [
      [{ m: `(${matchers.equal}) || 1 == 1` }, good, 'model.conf:8:61'],
      [{ m: `${matchers.equal} && r.sub == r.sub` }, good, 'model.conf:8:59'],
    ],
    silent: [[{ m: `${matchers.equal} && r.sub == "gateway-1"` }, good]],
  },
  CASBIN_MATCHER_PRECEDENCE: {
    fires: [[{ m: 'r.sub == p.sub && r.obj == p.obj || r.act == p.act' }, good, 'model.conf:8:38']],
    silent: [[{ m: '(r.sub == p.sub && r.obj == p.obj) || (r.act == p.act && r.sub == p.sub)' }, good]],
  },
  CASBIN_MATCHER_CROSSED: {
    fires: [[{ m: 'r.sub == p.sub && r.obj == p.act && r.act == p.obj' }, good, 'model.conf:8:23']],
    silent: [[{ p: 'who, obj, act', m: matchers.equal.replace('p.sub', 'p.who') }, good]],
  },
  CASBIN_ATTRIBUTE_UNKNOWN: {
    fires: [
      [{ m: 'r.sub.site == p.sub && r.obj == p.obj && r.act == p.act' }, good, 'model.conf:8:5'],
      [documented('r.subject == p.sub'), good, 'model.conf:8:5'],
    ],
    silent: [[{ m: matchers.equal }, good]],
  },
  CASBIN_ATTRIBUTE_UNDECLARED: {
    fires: [
      [documented('r.subject.attributes.site == p.sub'), good, 'model.conf:8:5'],
      [
        { ...documented('eval(p.rule)'), p: 'rule, obj, act' },
        'p, "r.subject.attributes.site == \'a\'", /status, GET\n',
        'policy.csv:1:5',
      ],
    ],
    silent: [[documented('r.subject.attributes.attestation == p.sub && r.subject.state == "trusted"'), good]],
  },
  CASBIN_PRIORITY: {
    fires: [[byPriority, 'p, 1st, gateway-1, /status, GET, allow\n', 'policy.csv:1:4']],
    silent: [[byPriority, 'p, -1, gateway-1, /status, GET, allow\n']],
  },
  CASBIN_RULE: {
    fires: [[{ p: 'rule, obj, act', m: evaluated }, 'p, "r.sub = gateway-1", /status, GET\n', 'policy.csv:1:11']],
    silent: [[{ p: 'rule, obj, act', m: evaluated }, 'p, "r.sub == \'gateway-1\'", /status, GET\n']],
  },
  CASBIN_KEYMATCH_REPEATED: {
    fires: [[{ m: matchers.key2.replace('2', '4') }, `${good}p, gateway-1, /{id}/copy/{id}, GET\n`, 'policy.csv:2:15']],
    silent: [
      [{ m: matchers.key2.replace('2', '4') }, `${good}p, gateway-1, /{id}/copy/{other}, GET\n`],
      [{ m: matchers.key3 }, `${good}p, gateway-1, /{id}/copy/{id}, GET\n`],
    ],
  },
  CASBIN_GLOB: {
    fires: [[{ m: matchers.glob }, `${good}p, gateway-1, "/[ab]", GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.glob }, `${good}p, gateway-1, /a*, GET\n`]],
  },
  CASBIN_MATCHER_NEGATION: {
    fires: [[{ m: 'r.sub == p.sub && !keyMatch(r.obj, p.obj) && r.act == p.act' }, good, 'model.conf:8:33']],
    silent: [[{ m: `${matchers.equal} && r.sub != "hmi-1"` }, good]],
  },
  CASBIN_POLICY_EMPTY: {
    fires: [[{}, '# nobody\n', 'policy.csv:1:1']],
    silent: [[{}, good]],
  },
  CASBIN_LINE_TYPE: {
    fires: [[{}, `${good}P, gateway-1, /, GET\n`, 'policy.csv:2:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, gateway-1, viewer\n`]],
  },
  CASBIN_COLUMN_COUNT: {
    fires: [[{}, `${good}p, gateway-1, /\n`, 'policy.csv:2:1']],
    silent: [[{}, `${good}p, gateway-1, "/a,b", GET\n`]],
  },
  CASBIN_COLUMN_EMPTY: {
    fires: [[{}, `${good}p, , /, GET\n`, 'policy.csv:2:4']],
    silent: [[{}, `${good}\np,gateway-1,/,GET\n`]],
  },
  CASBIN_COLUMN_TEXT: {
    fires: [
      [{}, `${good}p, gateway-1, /a(b, GET\n`, 'policy.csv:2:15'],
      [{}, `${good}p, gateway-1, /a\u0007b, GET\n`, 'policy.csv:2:15'],
    ],
    silent: [[{}, `${good}p, gateway-1, /a(b), GET\n`]],
  },
  CASBIN_QUOTE: {
    fires: [
      [{}, `${good}p, gateway-1, "/a, GET\n`, 'policy.csv:2:15'],
      [{}, `${good}p, gateway-1, /a"b, GET\n`, 'policy.csv:2:15'],
      [{}, `${good}p, "gateway-1" x, /a, GET\n`, 'policy.csv:2:4'],
    ],
    silent: [[{}, `${good}p, gateway-1, "/a""b", GET\n`]],
  },
  CASBIN_COMMENT_INLINE: {
    fires: [[{}, `${good}p, gateway-1, /, GET # the panel\n`, 'policy.csv:2:18']],
    silent: [[{}, `${good}# the panel\np, gateway-1, /a#b, GET\n`]],
  },
  CASBIN_CACHE_KEY: {
    fires: [[{}, `${good}p, gateway-1, /a$$b, GET\n`, 'policy.csv:2:15']],
    silent: [[{}, `${good}p, gateway-1, /a$b, GET\n`]],
  },
  CASBIN_EFFECT_TYPO: {
    fires: [[both, 'p, gateway-1, /status, GET, Deny\n', 'policy.csv:1:29']],
    silent: [[both, 'p, gateway-1, /status, GET, allow\np, gateway-1, /, GET, deny\n']],
  },
  CASBIN_DENY_IGNORED: {
    fires: [[{ ...both, e: allow }, 'p, gateway-1, /status, GET, deny\n', 'policy.csv:1:29']],
    silent: [[both, 'p, gateway-1, /status, GET, deny\n']],
  },
  CASBIN_ALLOW_IGNORED: {
    fires: [[{ ...both, e: deny }, 'p, gateway-1, /status, GET, allow\n', 'policy.csv:1:29']],
    silent: [[both, 'p, gateway-1, /status, GET, allow\n']],
  },
  CASBIN_REFUSED: {
    fires: [[{}, `${'\n'.repeat(200_000)}${good}`, 'policy.csv:200001:1']],
    silent: [[{}, `${'\n'.repeat(199_999)}${good}`]],
  },
  CASBIN_WILDCARD_LITERAL: {
    fires: [
      [{}, `${good}p, *, /, GET\n`, 'policy.csv:2:4'],
      [{}, `${good}p, gateway-1, /pumps/:id, GET\n`, 'policy.csv:2:15'],
    ],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /pumps/:id, GET\n`]],
  },
  CASBIN_PATTERN_DIALECT: {
    fires: [
      [{ m: matchers.key }, `${good}p, gateway-1, /pumps/:id, GET\n`, 'policy.csv:2:15'],
      [{ m: matchers.key }, `${good}p, gateway-1, ^/pumps$, GET\n`, 'policy.csv:2:15'],
    ],
    silent: [
      [{ m: matchers.key2 }, `${good}p, gateway-1, /pumps/:id, GET\n`],
      [{ m: matchers.key }, `${good}p, gateway-1, /pumps/*, GET\n`],
    ],
  },
  CASBIN_PATTERN_WIDE: {
    fires: [
      [{ m: matchers.key }, 'p, gateway-1, /*, GET\n', 'policy.csv:1:15'],
      [{ m: matchers.regex }, 'p, gateway-1, ^.*$, GET\n', 'policy.csv:1:15'],
      [{ m: matchers.ip }, 'p, 0.0.0.0/0, /, GET\n', 'policy.csv:1:4'],
    ],
    silent: [
      [{ m: matchers.key }, 'p, gateway-1, /a/*, GET\n'],
      [{ ...both, m: matchers.key }, 'p, gateway-1, /a/*, GET, allow\np, gateway-1, /*, PUT, deny\n'],
    ],
  },
  CASBIN_KEYMATCH_LOOP: {
    fires: [
      [{ m: matchers.key2 }, `${good}p, gateway-1, /admin/:, GET\n`, 'policy.csv:2:15'],
      [{ m: matchers.key3 }, `${good}p, gateway-1, /admin/{}, GET\n`, 'policy.csv:2:15'],
    ],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /admin/:page, GET\n`]],
  },
  CASBIN_KEYMATCH_TAIL: {
    fires: [[{ m: matchers.key }, `${good}p, gateway-1, /a/*/public, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key }, `${good}p, gateway-1, /a/*, GET\n`]],
  },
  CASBIN_KEYMATCH_PREFIX: {
    fires: [[{ m: matchers.key }, `${good}p, gateway-1, /admin*, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key }, `${good}p, gateway-1, /admin/*, GET\n`]],
  },
  CASBIN_KEYMATCH_REGEX: {
    fires: [[{ m: matchers.key2 }, `${good}p, gateway-1, /a|/b, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /a-b, GET\n`]],
  },
  CASBIN_KEYMATCH_STAR: {
    fires: [[{ m: matchers.key2 }, `${good}p, gateway-1, /foo*, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /foo/*, GET\n`]],
  },
  CASBIN_KEYMATCH_DOT: {
    fires: [[{ m: matchers.key2 }, `${good}p, gateway-1, /v1.0/:id, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /v1/:id, GET\n`]],
  },
  CASBIN_KEYMATCH_REST: {
    fires: [[{ m: matchers.key2 }, `${good}p, gateway-1, /*/status, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.key2 }, `${good}p, gateway-1, /:id/status/*, GET\n`]],
  },
  CASBIN_REGEX_SYNTAX: {
    fires: [[{ m: matchers.regex }, `${good}p, gateway-1, ^/a[b$, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.regex }, `${good}p, gateway-1, ^/a[b]$, GET\n`]],
  },
  CASBIN_REGEX_NONLINEAR: {
    fires: [[{ m: matchers.regex }, `${good}p, gateway-1, ^/(?!admin).*$, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.regex }, `${good}p, gateway-1, ^/(?:admin)$, GET\n`]],
  },
  CASBIN_REGEX_EMPTY: {
    fires: [
      [{ m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act && regexMatch(r.act, "")' }, good, 'model.conf:8:77'],
    ],
    silent: [[{ m: matchers.regex }, 'p, gateway-1, ^/status$, GET\n']],
  },
  CASBIN_REGEX_MATCHES_EMPTY: {
    fires: [[{ m: matchers.regex }, `${good}p, gateway-1, ^(/a)?$, GET\n`, 'policy.csv:2:15']],
    silent: [[{ m: matchers.regex }, `${good}p, gateway-1, ^/a?$, GET\n`]],
  },
  CASBIN_REGEX_UNANCHORED: {
    fires: [
      [{ m: matchers.regex }, 'p, gateway-1, /status, GET\n', 'policy.csv:1:15'],
      [{ m: matchers.regex }, String.raw`p, gateway-1, ^/status\$, GET`, 'policy.csv:1:15'],
    ],
    silent: [[{ m: matchers.regex }, 'p, gateway-1, ^/status$, GET\np, gateway-1, ^/a$|^/b$, GET\n']],
  },
  CASBIN_REGEX_ALTERNATION: {
    fires: [[{ m: matchers.regex }, 'p, gateway-1, ^/a|/b$, GET\n', 'policy.csv:1:15']],
    silent: [
      [
        { m: matchers.regex },
        String.raw`p, gateway-1, "^(/a|/b)$", GET` + '\n' + String.raw`p, gateway-1, ^/a\|b$, GET`,
      ],
    ],
  },
  CASBIN_REGEX_BACKTRACKING: {
    fires: [[{ m: matchers.regex }, 'p, gateway-1, ^(/a+)+$, GET\n', 'policy.csv:1:15']],
    silent: [[{ m: matchers.regex }, 'p, gateway-1, ^(/a+)$, GET\n']],
  },
  CASBIN_REGEX_DOT: {
    fires: [[{ m: matchers.regex }, 'p, gateway-1, ^/v1.0$, GET\n', 'policy.csv:1:15']],
    silent: [[{ m: matchers.regex }, String.raw`p, gateway-1, ^/v1\.0/.*$, GET`]],
  },
  CASBIN_ADDRESS: {
    fires: [[{ m: matchers.ip }, 'p, 10.77.0, /, GET\n', 'policy.csv:1:4']],
    silent: [[{ m: matchers.ip }, 'p, 10.77.0.1, /, GET\n']],
  },
  CASBIN_ADDRESS_MAPPED: {
    fires: [[{ m: matchers.ip }, 'p, ::ffff:10.77.0.1, /, GET\n', 'policy.csv:1:4']],
    silent: [[{ m: matchers.ip }, 'p, fd00::1, /, GET\n']],
  },
  CASBIN_CIDR_PREFIX: {
    fires: [[{ m: matchers.ip }, 'p, 10.77.0.0/33, /, GET\n', 'policy.csv:1:4']],
    silent: [[{ m: matchers.ip }, 'p, 10.77.0.0/32, /, GET\n']],
  },
  CASBIN_CIDR_HOST_BITS: {
    fires: [[{ m: matchers.ip }, 'p, 10.77.0.1/24, /, GET\n', 'policy.csv:1:4']],
    silent: [[{ m: matchers.ip }, 'p, 10.77.0.0/24, /, GET\n']],
  },
  CASBIN_ROLE_SELF: {
    fires: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, viewer, viewer\n`, 'policy.csv:2:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, gateway-1, viewer\n`]],
  },
  CASBIN_ROLE_CYCLE: {
    fires: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, a, b\ng, b, c\ng, c, a\n`, 'policy.csv:4:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, a, b\ng, b, c\ng, a, c\n`]],
  },
  CASBIN_ROLE_DEPTH: {
    fires: [[{ g: 'g = _, _', m: matchers.role }, good + chain(11), 'policy.csv:12:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, good + chain(10)]],
  },
  CASBIN_ROLE_UNHELD: {
    fires: [
      [{ g: 'g = _, _', m: matchers.role }, 'p, auditor, /status, GET\ng, gateway-1, viewer\n', 'policy.csv:1:4'],
    ],
    silent: [
      [{ g: 'g = _, _', m: matchers.role }, 'p, auditor, /status, GET\ng, viewer, auditor\ng, gateway-1, viewer\n'],
    ],
  },
  CASBIN_ROLE_UNREFERENCED: {
    fires: [[{ g: 'g = _, _', m: matchers.role }, `${good}g, gateway-1, veiwer\n`, 'policy.csv:2:1']],
    silent: [[{ g: 'g = _, _', m: matchers.role }, 'p, viewer, /status, GET\ng, gateway-1, staff\ng, staff, viewer\n']],
  },
  CASBIN_LINE_DUPLICATE: {
    fires: [
      [{}, `${good}p, gateway-1, "/status", GET\n`, 'policy.csv:2:1'],
      [
        { g: 'g = _, _', m: matchers.role },
        'p, viewer, /status, GET\ng, gateway-1, viewer\ng, gateway-1, viewer\n',
        'policy.csv:3:1',
      ],
    ],
    silent: [[{}, `${good}p, gateway-1, /, GET\n`]],
  },
  CASBIN_LINE_SHADOWED: {
    fires: [
      [{ m: matchers.key }, 'p, gateway-1, /a/b, GET\np, gateway-1, /a/*, GET\n', 'policy.csv:1:1'],
      [{ m: matchers.key2 }, 'p, gateway-1, /a/:id, GET\np, gateway-1, /a/b, GET\n', 'policy.csv:2:1'],
      [{ m: matchers.ip }, 'p, 10.77.0.0/24, /, GET\np, 10.77.0.9, /, GET\n', 'policy.csv:2:1'],
      [
        { g: 'g = _, _', m: matchers.role },
        'p, staff, /, GET\np, viewer, /, GET\ng, viewer, staff\n',
        'policy.csv:2:1',
      ],
    ],
    silent: [
      [{ m: matchers.key }, 'p, gateway-1, /a/b, GET\np, gateway-1, /a/*, PUT\n'],
      [{ m: matchers.key }, 'p, gateway-1, /a*, GET\np, gateway-1, /a/*, PUT\n'],
      [{ m: matchers.key2 }, 'p, gateway-1, /a/:id, GET\np, gateway-1, /a, GET\n'],
      [{ ...both, m: matchers.key2 }, 'p, gateway-1, /a/:id, GET, deny\np, gateway-1, /a/b.c, GET, deny\n'],
    ],
  },
  CASBIN_LINE_CONTRADICTORY: {
    fires: [[both, 'p, gateway-1, /, GET, deny\np, gateway-1, /, GET, allow\n', 'policy.csv:2:1']],
    silent: [[both, 'p, gateway-1, /, GET, deny\np, gateway-1, /status, GET, allow\n']],
  },
  CASBIN_LINE_DENIED: {
    fires: [
      [
        { ...byPriority, m: matchers.key },
        'p, 2, gateway-1, /a/b, GET, deny\np, 1, gateway-1, /a/*, GET, allow\n',
        'policy.csv:1:1',
      ],
      [
        { ...byPriority, m: matchers.key },
        'p, 2, gateway-1, /a/b, GET, allow\np, 1, gateway-1, /a/*, GET, deny\n',
        'policy.csv:1:1',
      ],
      [
        { ...both, m: matchers.key },
        'p, gateway-1, /a/*, GET, deny\np, gateway-1, /a/b, GET, allow\n',
        'policy.csv:2:1',
      ],
    ],
    silent: [
      [{ ...both, m: matchers.key }, 'p, gateway-1, /a/b, GET, deny\np, gateway-1, /a/*, GET, allow\n'],
      [
        { ...byPriority, m: matchers.key },
        'p, 1, gateway-1, /a/b, GET, deny\np, 2, gateway-1, /a/*, GET, allow\np, 3, gateway-1, /a/*, PUT, deny\n',
      ],
    ],
  },
  CASBIN_LINE_UNREACHABLE: {
    fires: [
      [{}, `${good}p, gateway-1, /other, GET\n`, 'policy.csv:2:15'],
      [{}, `${good}p, gateway-1, /, PUT\n`, 'policy.csv:2:18'],
      [{}, `${good}p, desk-1, /, GET\n`, 'policy.csv:2:4'],
    ],
    silent: [[{}, `${good}p, gateway-1, /, GET\n`]],
  },
  CASBIN_VALUE_CASE: {
    fires: [[{}, `${good}p, gateway-1, /, get\n`, 'policy.csv:2:18']],
    silent: [[{}, `${good}p, gateway-1, /, GET\n`]],
  },
  CASBIN_ANALYSIS_CUT: {
    // 150 roles on each of two columns: more candidates for one line than are looked at.
    fires: [[crowded, `p, top, top, GET\n${crowd(150)}`, 'policy.csv:1:1']],
    silent: [[crowded, `p, top, top, GET\n${crowd(20)}`]],
  },
};

function crowd(roles: number): string {
  return Array.from(
    { length: roles },
    (_, index) => `g, top, a${index}\ng2, top, a${index}\np, a${index}, a${(index + 1) % roles}, PUT\n`,
  ).join('');
}

function chain(links: number): string {
  return Array.from({ length: links }, (_, index) => `g, r${index}, r${index + 1}\n`).join('');
}

const text = (parts: Parts | string): string => (typeof parts === 'string' ? parts : modelOf(parts));

for (const [rule, { fires, silent }] of Object.entries(cases) as [CasbinRule, (typeof cases)[CasbinRule]][]) {
  test(`${rule} is found where it is, and not beside it`, () => {
    for (const [parts, policy, place] of fires) {
      const found = casbinProblems(text(parts), policy);
      assert.ok(
        found.includes(`${place} ${rule}`),
        `${rule} at ${place} in\n${text(parts)}${policy}${found.join('\n')}`,
      );
    }
    for (const [parts, policy] of silent) {
      const found = casbinProblems(text(parts), policy);
      assert.ok(!found.some((line) => line.endsWith(` ${rule}`)), `${text(parts)}${policy}${found.join('\n')}`);
    }
    assert.ok(rule in lintRules);
  });
}
