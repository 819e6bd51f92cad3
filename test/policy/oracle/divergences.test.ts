// Every published divergence, shown on its example by both engines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileCasbin } from '../../../policy/engine/casbin/casbin-model.ts';
import type { CasbinValue } from '../../../policy/engine/casbin/value.ts';
import { answerDivergences, divergences, type Example } from './divergences.ts';
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
