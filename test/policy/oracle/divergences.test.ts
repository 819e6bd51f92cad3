// Every published divergence, shown on its example by both engines.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileCasbin } from '../../../policy/engine/casbin/casbin-model.ts';
import type { CasbinValue } from '../../../policy/engine/casbin/value.ts';
import { divergenceTable } from './divergence-table.ts';
import { answerDivergences, behaviours, divergences, type Example } from './divergences.ts';
import { effects } from './language.ts';
import { openReference } from './reference.ts';

function modelOf({
  fields = 'sub, obj',
  columns = 'sub, obj',
  effect = 'allow-override',
  roles,
  matcher,
}: Example): string {
  const section = roles === undefined ? '' : `[role_definition]\n${roles}\n`;
  return `[request_definition]\nr = ${fields}\n[policy_definition]\np = ${columns}\n${section}[policy_effect]
e = ${effects[effect]}\n[matchers]\nm = ${matcher}\n`;
}

const readme = join(import.meta.dirname, '../../../policy/engine/casbin/README.md');
const section = /(?<=<!-- divergences: begin -->\n)[\s\S]*(?=<!-- divergences: end -->)/;

test('the README shows the list (EDGEWARD_GOLDEN=write rewrites it)', () => {
  const text = readFileSync(readme, 'utf8');
  const expected = `\n${divergenceTable()}\n\n`;
  if (process.env['EDGEWARD_GOLDEN'] === 'write')
    writeFileSync(
      readme,
      text.replace(section, () => expected),
    );
  else assert.equal(section.exec(text)?.[0], expected);
});

test('tests of the behaviours are there', () => {
  const faults = readFileSync(join(readme, '../faults.test.ts'), 'utf8');
  for (const { test: name } of behaviours) {
    for (const number of name.match(/\d+/g) ?? [])
      assert.match(faults, new RegExp(`test\\('faults? [0-9, ]*\\b${number}\\b`), name);
  }
});

test('every switch of the specification is published, and in the order of the list', () => {
  assert.deepEqual(
    divergences.map(({ id }) => id),
    answerDivergences,
  );
});

for (const { id, example } of divergences) {
  test(`${id}: node-casbin ${example.casbin}, here ${example.here}`, async () => {
    const { policy, request } = example;
    const model = modelOf(example);
    const reference = await openReference(model, policy);
    assert.equal(reference.answer(request), example.casbin);
    const compiled = compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
    assert.equal(compiled.enforce(request as readonly CasbinValue[]).allow ? 'allow' : 'deny', example.here);
  });
}
