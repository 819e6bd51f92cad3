// Rules about casbin/<name>/model.conf.
import type { LintRule } from './lint-rule.ts';

export const casbinModelRules = {
  CASBIN_SECTION_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation: 'Casbin ignores a section it does not know; what stands in it is silently not in force.',
    example: '[matcher]',
    fix: 'write [request_definition], [policy_definition], [role_definition], [policy_effect] or [matchers]',
  },
  CASBIN_SECTION_DUPLICATE: {
    severity: 'error',
    waivable: false,
    explanation: 'Of two sections with one name implementations read the first, the last or both.',
    example: '[matchers] twice in one file',
    fix: 'join the two sections',
  },
  CASBIN_SECTION_MISSING: {
    severity: 'error',
    waivable: false,
    explanation:
      'A model says what a request, a policy line, an effect and a match are; without one of them it decides nothing.',
    example: 'a model.conf without [policy_effect]',
    fix: 'add the section',
  },
  CASBIN_DEFINITION_SYNTAX: {
    severity: 'error',
    waivable: false,
    explanation: 'A line that is no definition is ignored by Casbin, although it reads as if it were in force.',
    example: 'm r.sub == p.sub',
    fix: 'write name = text inside a section; a line continued with \\ is followed by its rest',
  },
  CASBIN_DEFINITION_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation:
      'A second definition (r2, p2, m2) is used only by programs that ask for it by name; an edge never does.',
    example: 'm2 = r.sub == "root"',
    fix: 'keep one definition a section (g, g2, ... in [role_definition]), or make it a model of its own',
  },
  CASBIN_DEFINITION_DUPLICATE: {
    severity: 'error',
    waivable: false,
    explanation: 'The later of two definitions wins in Casbin, without a word about the first.',
    example: 'e = ... twice',
    fix: 'remove one of the two',
  },
  CASBIN_FIELD_NAME: {
    severity: 'error',
    waivable: false,
    explanation:
      'Fields are named once each, in letters, digits and _; anything else cannot be referred to in the matcher.',
    example: 'r = sub, obj, obj',
    fix: 'name each field once',
  },
  CASBIN_REQUEST_FIELD_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation:
      'An edge asks with what policy/engine/casbin-request.ts lists; another field would never have a value.',
    example: 'r = tenant, obj, act',
    fix: 'use sub (device id), dom (interface), obj and act, or the objects subject, resource and context',
  },
  CASBIN_REQUEST_FIELD_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'The matcher never reads this field of the request, so every value of it is as good as any other.',
    example: 'r = sub, obj, act with m = r.sub == p.sub && r.obj == p.obj',
    fix: 'compare the field in the matcher, or remove it from r',
  },
  CASBIN_POLICY_COLUMN_UNUSED: {
    severity: 'error',
    waivable: true,
    explanation:
      'The matcher never reads this column: what the lines say there looks like a restriction and restricts nothing.',
    example: 'p = sub, obj, act with m = r.sub == p.sub && r.obj == p.obj',
    fix: 'compare the column in the matcher, or remove it from p and from every line',
  },
  CASBIN_ROLE_DEFINITION: {
    severity: 'error',
    waivable: false,
    explanation:
      'A role definition is g, g2, ... with a column for the member, one for the role and at most one for the domain.',
    example: 'g = _, _, _, _',
    fix: 'write g = _, _ or with a domain g = _, _, _',
  },
  CASBIN_ROLE_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'The matcher never calls this role definition, so its lines in policy.csv give nobody anything.',
    example: 'g2 = _, _ without g2(...) in the matcher',
    fix: 'call it in the matcher, or remove it and its lines',
  },
  CASBIN_EFFECT_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation:
      'Casbin compares the effect as text; one it does not know makes every request an error, or is guessed.',
    example: 'e = some(where (p.eft = allow))',
    fix: 'write one of the effects that policy/engine/casbin/README.md lists',
  },
  CASBIN_EFFECT_COLUMN: {
    severity: 'error',
    waivable: false,
    explanation: 'The effect looks for deny lines, but no column of p is eft: nothing could ever deny (fault 4).',
    example: 'p = sub, obj, act with e = !some(where (p.eft == deny))',
    fix: 'add eft as a column of p and to every line',
  },
  CASBIN_DEFAULT_ALLOW: {
    severity: 'warning',
    waivable: true,
    explanation:
      'With deny-override alone, whatever no line denies is allowed: a new route, a typo in a deny; and in node-casbin everything while a reload runs or after it failed (faults 1, 2 and 3).',
    example: 'e = !some(where (p.eft == deny))',
    fix: 'write e = some(where (p.eft == allow)) && !some(where (p.eft == deny)), and allow lines',
  },
  CASBIN_MATCHER_SYNTAX: {
    severity: 'error',
    waivable: false,
    explanation:
      'The matcher is text compared, looked up and matched; Casbin guesses, coerces or fails on anything else (fault 14).',
    example: 'm = r.sub = p.sub',
    fix: 'see the message; policy/engine/casbin/README.md gives the grammar',
  },
  CASBIN_MATCHER_FIELD: {
    severity: 'error',
    waivable: false,
    explanation:
      'A field that r or p does not define is undefined in Casbin, and undefined equals undefined (fault 14).',
    example: 'm = r.user == p.sub with r = sub, obj, act',
    fix: 'use a field that [request_definition] or [policy_definition] names',
  },
  CASBIN_MATCHER_FUNCTION: {
    severity: 'error',
    waivable: false,
    explanation: 'A function that the engine does not have cannot be judged on an edge.',
    example: 'm = keymatch(r.obj, p.obj)',
    fix: 'use a function that policy/engine/casbin/README.md lists, in its spelling',
  },
  CASBIN_MATCHER_CALL: {
    severity: 'error',
    waivable: false,
    explanation:
      'A function with a missing or swapped argument matches something else: the value comes from the request, the pattern from the policy.',
    example: 'm = keyMatch(p.obj, r.obj)',
    fix: 'write function(r.value, p.pattern), and g with as many arguments as its definition has columns',
  },
  CASBIN_MATCHER_IGNORES_POLICY: {
    severity: 'error',
    waivable: false,
    explanation: 'A matcher that never looks at p is decided by the request alone; no line of the policy matters.',
    example: 'm = r.sub == "root"',
    fix: 'compare the request with the columns of p',
  },
  CASBIN_MATCHER_BYPASS: {
    severity: 'warning',
    waivable: true,
    explanation: 'One branch of an || looks only at the request: it holds for every line, whatever the line says.',
    example: 'm = r.sub == "root" || r.sub == p.sub && r.obj == p.obj',
    fix: 'give the exception a line of its own in policy.csv',
  },
  CASBIN_MATCHER_CONSTANT: {
    severity: 'error',
    waivable: false,
    explanation: 'A comparison whose answer never changes is a forgotten test or an open door.',
    example: 'm = r.sub == p.sub || 1 == 1',
    fix: 'remove it, or compare what was meant',
  },
  CASBIN_MATCHER_PRECEDENCE: {
    severity: 'warning',
    waivable: true,
    explanation: '&& binds tighter than ||: the conditions before an || do not restrict what stands behind it.',
    example: 'm = r.sub == p.sub && r.obj == p.obj || r.act == p.act',
    fix: 'put brackets around what belongs together',
  },
  CASBIN_MATCHER_CROSSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A field is compared with the column of another field that both sides have; nearly always a slip.',
    example: 'm = r.obj == p.act',
    fix: 'compare fields of the same name',
  },
  CASBIN_ATTRIBUTE_UNKNOWN: {
    severity: 'warning',
    waivable: true,
    explanation:
      'sub, dom, obj and act are texts, and subject, resource and context objects; read otherwise they make every request unusable, which is denied.',
    example: 'm = r.sub.age > 18 && r.obj == p.obj',
    fix: 'read attributes from r.subject.attributes, r.resource.attributes or r.context.attributes',
  },
  CASBIN_ATTRIBUTE_UNDECLARED: {
    severity: 'error',
    waivable: true,
    explanation:
      'No schema says what the attribute is: a misspelt name, or a value of any type, is as good as none, and in a deny line a match.',
    example: 'm = r.subject.attributes.sitte == p.site',
    fix: 'declare the attribute in schema/, or correct its name',
  },
  CASBIN_MATCHER_NEGATION: {
    severity: 'warning',
    waivable: true,
    explanation: 'A negated match makes an allow line open everything but what it names, now and later.',
    example: 'm = r.sub == p.sub && !keyMatch(r.obj, p.obj)',
    fix: 'name what is allowed, or use a deny line',
  },
} as const satisfies Record<string, LintRule>;
