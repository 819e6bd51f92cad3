// The edge answers as opa does: each built-in function and each construct of the language over generated inputs, by the
// interpreter of opa itself (the oracle) and by the compiled package on the engine.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalJson } from '../../../runtime/canonical-json.ts';
import { requires } from '../../../test/support/capabilities.ts';
import { MAX_REGO_FUEL } from '../../engine/limits.ts';
import { attributeSchemas } from '../../engine/conditions.ts';
import { compileInput } from '../../engine/rego/input-document.ts';
import { compileRego } from '../../engine/rego/rego-package.ts';
import { request } from '../../engine/testing/random-policy.ts';
import { hours } from '../../engine/testing/sample-rego.ts';
import { now } from '../../engine/testing/sample-slice.ts';
import { compileOpaModule, describe } from '../../engine/rego/opa-module.ts';
import { builtIns } from './capabilities.ts';
import { createRegoCompiler } from './compiler.ts';
import { expressionInput, expressions, packageOf, table } from './sample-expressions.ts';
import { regoText } from './sample-rego.ts';
import { findOpa, type Opa } from './opa.ts';

/** What an expression reads of an input. */
const operands = (line: string, one: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(Object.fromEntries([...line.matchAll(/input\.(\w+)/g)].map(([, name = '']) => [name, one[name]])));

/** Members in any order; undefined is none. */
const spell = (value: unknown): string => (value === undefined ? 'undefined' : canonicalJson(value));

/**
 * Where the two differ and why that is no danger: a fault denies, so it is never the less strict answer. Closed: another
 * difference fails the test, and one that no longer shows fails it too.
 */
const differences: Readonly<Record<string, (line: string, theirs: string, mine: string) => boolean>> = {
  'opa rounds -0.5 up to 1 and down to 0; the compiled function is right': (line, theirs, mine) =>
    (line === 'ceil(input.n)' && theirs === '1' && mine === '0') ||
    (line === 'floor(input.n)' && theirs === '0' && mine === '-1'),
  'the last of sixteen digits of a long product': (line, theirs, mine) =>
    line === 'product(input.ns)' && Math.abs(Number(theirs) / Number(mine) - 1) < 1e-15,
  'to_number of a sign or a point alone is a fault, not undefined': (line, theirs, mine) =>
    line.startsWith('to_number(') && theirs === 'undefined' && mine.startsWith('FAULT '),
  'a pattern with a class of all letters runs out of fuel when it is searched again and again': (line, _, mine) =>
    line.startsWith('regex.find_all') && mine === `FAULT more than ${MAX_REGO_FUEL} instructions`,
  'json.remove with an empty path is a fault': (line, _, mine) =>
    line.startsWith('json.remove(') && mine === 'FAULT memory access out of bounds',
  'a template string writes the members of an object in another order': (line, theirs, mine) =>
    line.startsWith('$') && theirs.split('').toSorted().join('') === mine.split('').toSorted().join(''),
};

const seen = new Set<string>();

/** What opa itself answers for each input; absent where it is undefined. */
function interpreted(opa: Opa, text: string, inputs: readonly object[], base: object): Record<string, unknown> {
  const directory = mkdtempSync(join(tmpdir(), 'edgeward-oracle-'));
  try {
    const name = /^package (\w+)$/m.exec(text)?.[1];
    writeFileSync(join(directory, `${name}.rego`), text);
    writeFileSync(
      join(directory, 'ask.rego'),
      `package ask\n\nanswers[index] := answer if {\n\tsome index, one in data.inputs\n\tanswer := data.${name}.decision with input as one\n}\n`,
    );
    writeFileSync(join(directory, 'data.json'), JSON.stringify({ inputs, ...base }));
    const run = opa.run(directory, ['eval', '--format', 'json', '--data', '.', 'data.ask.answers']);
    assert.equal(run.status, 0, run.stdout.slice(0, 2_000));
    const { result } = JSON.parse(run.stdout) as { result: { expressions: { value: Record<string, unknown> }[] }[] };
    return result[0]?.expressions[0]?.value ?? {};
  } finally {
    rmSync(directory, { recursive: true });
  }
}

for (const [group, lines] of Object.entries(expressions)) {
  test(`opa and engine agree: ${group}`, (t) => {
    if (!requires(t, 'opa')) return;
    const opa = findOpa();
    assert.ok(opa !== undefined);
    const source = packageOf(lines);
    const compiled = createRegoCompiler(opa).compile({
      name: 'diff',
      files: new Map([['rego/diff/diff.rego', source]]),
      data: JSON.stringify(table),
    });
    assert.ok('wasm' in compiled, JSON.stringify(compiled));
    const inputs = fc

      .sample(expressionInput, { numRuns: 300, seed: 7 })
      .flatMap((one) => lines.map((_, ask) => ({ ...one, ask })));
    const expected = interpreted(opa, source, inputs, { diff: table });
    const module = compileOpaModule(compiled.wasm);
    const data = JSON.stringify({ diff: table });
    let instance = module.instantiate(data);
    const unexplained = new Map<string, string[]>();
    let defined = 0;
    for (const [index, one] of inputs.entries()) {
      const line = lines[one.ask] ?? '';
      const theirs = spell(expected[index]);
      let mine: string;
      try {
        const [answer] = instance.evaluate('diff/decision', JSON.stringify(one)) as { result: unknown }[];
        mine = spell(answer?.result);
      } catch (error) {
        mine = `FAULT ${describe(error)}`;
        instance = module.instantiate(data);
      }
      if (theirs !== 'undefined') defined += 1;
      if (mine === theirs) continue;
      const reason = Object.keys(differences).find((name) => differences[name]?.(line, theirs, mine));
      if (reason !== undefined) {
        seen.add(reason);
        continue;
      }
      const shown = `${theirs}, engine ${mine} of ${operands(line, one)}`;
      unexplained.set(line, [...(unexplained.get(line) ?? []), shown]);
    }
    assert.ok(defined > inputs.length / 3, `only ${defined} defined answers`);
    assert.deepEqual(
      [...unexplained].map(([line, shown]) => `${line}, ${shown.length} times: opa ${shown.slice(0, 5).join('\n')}`),
      [],
    );
  });
}

test('opa and engine: every difference that is explained is there', (t) => {
  if (!requires(t, 'opa')) return;
  assert.deepEqual([...seen].toSorted(), Object.keys(differences).toSorted());
});

test('opa and engine agree: what package hours says of generated requests', (t) => {
  if (!requires(t, 'opa')) return;
  const opa = findOpa();
  assert.ok(opa !== undefined);
  const inputOf = compileInput(attributeSchemas([], 'schema'));
  const asked = fc.sample(fc.tuple(request, fc.integer({ min: 0, max: 1_439 }), fc.boolean()), {
    numRuns: 2_000,
    seed: 7,
  });
  const inputs = asked.map(([one, minute, unattested]) => {
    const moved = { ...one, context: { ...one.context, time: now + minute * 60_000 } };
    return inputOf({ request: moved, operation: 'look', device: 'hmi-1', unattested });
  });
  const expected = interpreted(opa, regoText('hours.rego'), inputs, {
    hours: JSON.parse(regoText('data.json')) as object,
  });
  const { decide } = compileRego(hours);
  const answers = new Set<string>();
  for (const [index, one] of inputs.entries()) {
    const { deny } = expected[index] as { deny: string[] };
    const verdict = decide(one);
    assert.equal(verdict.allow ? '' : verdict.why, deny.toSorted().join('; '), JSON.stringify(one));
    answers.add(deny.join('; '));
  }
  assert.equal(answers.size, 4, [...answers].join('\n'));
});

/** How the built-ins are written that have no name in the language. */
const operators: Readonly<Record<string, string>> = {
  assign: ' := ',
  eq: ' = ',
  equal: ' == ',
  neq: ' != ',
  lt: ' < ',
  lte: ' <= ',
  gt: ' > ',
  gte: ' >= ',
  plus: ' + ',
  minus: ' - ',
  mul: ' * ',
  div: ' / ',
  rem: ' % ',
  and: ' & ',
  or: ' | ',
  'internal.member_2': ' in ',
  'internal.member_3': ', input.w in ',
  'internal.template_string': '$"',
};

test('opa and engine: no built-in function is accepted that is not compared', () => {
  for (const [group, names] of Object.entries(builtIns)) {
    const lines = expressions[group as keyof typeof expressions];
    for (const name of names.split(' ')) {
      const written = operators[name] ?? `${name}(`;
      assert.ok(
        lines.some((line) => line.includes(written)),
        `${name} in no expression of ${group}`,
      );
    }
  }
});
