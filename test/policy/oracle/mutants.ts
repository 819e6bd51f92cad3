// Bugs that somebody could write into the engine, as changes of its source: the differential has to find every one.
// Each text stands exactly once in its file; where it no longer does, the engine has changed and so has this table to.

export interface Mutant {
  readonly id: string;
  /** In policy/engine. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const mutants: readonly Mutant[] = [
  // What the index leaves out, and what it takes for proven.
  {
    id: 'index-wrong-column',
    file: 'casbin/way-index.ts',
    find: 'this.#key[at] = lines.number(line, column);',
    replace: 'this.#key[at] = lines.number(line, column === 0 ? 0 : column - 1);',
  },
  {
    id: 'index-forgets-own-name',
    file: 'casbin/way-index.ts',
    find: 'if (this.#searchKey(search)) return;\n    const names',
    replace: 'const names',
  },
  {
    id: 'index-skips-request-condition',
    file: 'casbin/way-index.ts',
    find: 'for (const test of before) if (!test(asked, -1)) return;',
    replace: 'void before;',
  },
  {
    id: 'index-skips-line-condition',
    file: 'casbin/way-index.ts',
    find: 'if (!membership.every((test) => test(asked, line))) return;',
    replace: 'void membership;',
  },
  {
    id: 'search-skips-rest',
    file: 'casbin/search.ts',
    find: 'for (let at = 0; at < rest.length; at++)',
    replace: 'for (let at = 1; at < rest.length; at++)',
  },
  {
    id: 'start-ignores-parameter',
    file: 'casbin/path-pattern.ts',
    find: 'open === -1 ? segments.length : open',
    replace: 'segments.length',
  },
  {
    id: 'bucket-loses-lines-when-it-grows',
    file: 'casbin/buckets.ts',
    find: 'this.from(bucket) + count * entry);',
    replace: 'this.from(bucket) + count);',
  },
  {
    id: 'trie-incomplete-is-complete',
    file: 'casbin/pattern-trie.ts',
    find: 'line * 2 + (complete ? 1 : 0)',
    replace: 'line * 2 + (complete ? 1 : 1)',
  },
  {
    id: 'trie-no-backtracking',
    file: 'casbin/pattern-trie.ts',
    find: 'if (literal !== undefined && searchNode(literal, value, next, visitor)) return true;',
    replace: 'if (literal !== undefined) return searchNode(literal, value, next, visitor);',
  },
  {
    id: 'networks-one-family',
    file: 'casbin/network-index.ts',
    find: 'networkOf(address, bits)',
    replace: 'networkOf(address, Math.min(bits, 24))',
  },
  // Addresses.
  {
    id: 'cidr-off-by-one',
    file: 'casbin/address.ts',
    find: '(0xffffffff << (32 - bits)) >>> 0',
    replace: '(0xffffffff << (33 - bits)) >>> 0',
  },
  {
    id: 'octal-address',
    file: 'casbin/address.ts',
    find: "(at - start > 1 && text[start] === '0')",
    replace: 'at - start > 3',
  },
  // Roles.
  {
    id: 'role-depth',
    file: 'limits.ts',
    find: 'export const MAX_ROLE_DEPTH = 10;',
    replace: 'export const MAX_ROLE_DEPTH = 11;',
  },
  {
    id: 'role-domain-ignored',
    file: 'casbin/roles.ts',
    find: 'this.#key[1] = domain;',
    replace: 'this.#key[1] = 0;',
  },
  {
    id: 'role-not-transitive',
    file: 'casbin/roles.ts',
    find: 'next.push(role);',
    replace: '',
  },
  {
    id: 'role-of-a-single-parent',
    file: 'casbin/roles.ts',
    find: 'withRole(reach, only)',
    replace: 'reach',
  },
  {
    id: 'role-of-oneself',
    file: 'casbin/line-test.ts',
    find: ') === true || member(asked, line) === role(asked, line);',
    replace: ') === true;',
  },
  // Effects and order.
  {
    id: 'deny-overlooked-by-allow',
    file: 'casbin/casbin-model.ts',
    find: "if (denying !== undefined && effect !== 'priority') return",
    replace: "if (denying !== undefined && effect === 'deny-override') return",
  },
  {
    id: 'priority-backwards',
    file: 'casbin/casbin-model.ts',
    find: 'deny.foundOrder < allow.foundOrder',
    replace: 'deny.foundOrder > allow.foundOrder',
  },
  {
    id: 'priority-column-ignored',
    file: 'casbin/lines.ts',
    find: 'priority * ordersPerPriority + this.#sequence++',
    replace: 'this.#sequence++',
  },
  {
    id: 'priority-first-found',
    file: 'casbin/search.ts',
    find: 'if (!this.#ordered) return true;\n    this.#bestOrder',
    replace: 'return true;\n    this.#bestOrder',
  },
  {
    id: 'empty-policy-allows',
    file: 'casbin/casbin-model.ts',
    find: "if (lines.count === 0) return denied(0, 'empty-policy');",
    replace: '',
  },
  // Readings: what is unknown, what a negation turns round, what denies.
  {
    id: 'deny-wants-certainty',
    file: 'casbin/program.ts',
    find: "this.#readings[allow ? 'sure' : 'possible']",
    replace: 'this.#readings.sure',
  },
  {
    id: 'negation-of-unknown',
    file: 'casbin/literals.ts',
    find: "literal.negated ? (reading === 'sure' ? 'possible' : 'sure') : reading",
    replace: 'reading',
  },
  {
    id: 'de-morgan-forgotten',
    file: 'casbin/literals.ts',
    find: "return (expression.kind === 'or') === negated",
    replace: "return expression.kind === 'and'",
  },
  {
    id: 'missing-equals-missing',
    file: 'casbin/line-test.ts',
    find: 'return value !== undefined && value === readRight(asked, line);',
    replace: 'return value === readRight(asked, line);',
  },
  {
    id: 'inherited-attribute',
    file: 'casbin/line-test.ts',
    find: 'Object.hasOwn(value, name)',
    replace: 'name in value',
  },
  {
    id: 'less-or-equal',
    file: 'casbin/line-test.ts',
    find: "'<=': (left, right) => left <= right",
    replace: "'<=': (left, right) => left < right",
  },
  // Patterns.
  {
    id: 'dot-not-escaped',
    file: 'casbin/key-pattern.ts',
    find: '{ exact: byRegex(segments, (text) => RE2JS.quote(text)) }',
    replace: '{ exact: byRegex(segments, (text) => text) }',
  },
  {
    id: 'wide-dot-forgotten',
    file: 'casbin/key-pattern.ts',
    find: "if (!pattern.includes('.')) return { ...exact, wide: exact.exact };",
    replace: 'return { ...exact, wide: exact.exact };',
  },
  {
    id: 'prefix-anywhere',
    file: 'casbin/key-pattern.ts',
    find: 'value.startsWith(prefix)',
    replace: 'value.includes(prefix)',
  },
  {
    id: 'empty-parameter',
    file: 'casbin/key-pattern.ts',
    find: 'if (end === at || ',
    replace: 'if (',
  },
  {
    id: 'repeated-names-free',
    file: 'casbin/key-pattern.ts',
    find: 'return twins.every(([one, other]) => parts[one] === parts[other]);',
    replace: 'return twins.length > 0 && parts.length > 0;',
  },
  {
    id: 'query-kept',
    file: 'casbin/pattern.ts',
    find: 'query === -1 ? value : value.slice(0, query)',
    replace: 'query === 0 ? value.slice(0, query) : value',
  },
  {
    id: 'regex-anywhere',
    file: 'casbin/regex-pattern.ts',
    find: 'counted(value).testExact(value)',
    replace: 'counted(value).test(value)',
  },
  {
    id: 'glob-two-stars-hidden',
    file: 'casbin/glob-pattern.ts',
    find: "segment !== '' && !segment.startsWith('.')",
    replace: "segment !== ''",
  },
  // Borders.
  {
    id: 'effect-in-any-case',
    file: 'casbin/policy-file.ts',
    find: "if (effect !== 'allow' && effect !== 'deny') throw",
    replace: "if (effect?.toLowerCase() !== 'allow' && effect?.toLowerCase() !== 'deny') throw",
  },
  {
    id: 'control-characters',
    file: 'casbin/request-shape.ts',
    find: 'if (number === NO_TEXT && !isPlain(value)) return false;',
    replace: '',
  },
  {
    id: 'half-a-character',
    file: 'casbin/request-shape.ts',
    find: 'return value.isWellFormed();',
    replace: 'return true;',
  },
  // Deltas.
  {
    id: 'delta-leaves-link',
    file: 'casbin/roles.ts',
    find: 'members.splice(members.indexOf(member), 1);\n    this.#reopen(member, domain, edit);',
    replace: 'members.splice(members.indexOf(member), 1);',
  },
  {
    id: 'delta-writes-to-the-old-model',
    file: 'casbin/paged.ts',
    find: 'if (!this.#own.has(at)) {',
    replace: 'if (page.length === 0) {',
  },
  {
    id: 'delta-leaves-line',
    file: 'casbin/buckets.ts',
    find: 'this.words[bucket + 1] = this.count(bucket) - 1;\n      return true;',
    replace: 'return true;',
  },
];
