import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { breaksOf, closureOf, closurePath, edgeClosure, renderClosure } from './closure.ts';

const closure = await edgeClosure();

test("the edge's program contains no cloud folder, no response, and no package of the control plane", () => {
  assert.deepEqual(breaksOf(closure), []);
  const listed = readFileSync(closurePath, 'utf8');
  assert.doesNotMatch(listed, /\/cloud\/|^response\/|^npm:(casbin|pg|kysely|commander)$/m);
});

test('nor does that of the stand-in', async () => {
  const standby = await closureOf('bin/edge-standby.ts');
  assert.ok(standby.files.includes('policy/engine/index.ts'));
  assert.deepEqual(breaksOf(standby), []);
});

test('docs/closure-edge.txt is what the program consists of; otherwise run: node scripts/closure.ts --write', () => {
  assert.equal(readFileSync(closurePath, 'utf8'), renderClosure(closure));
});

test('what the edge certainly runs is in the list', () => {
  for (const file of [
    'bin/edge-node.ts',
    'policy/engine/index.ts',
    'audit/spool/spool.ts',
    'enforcer/authz/authorize.ts',
  ]) {
    assert.ok(closure.files.includes(file), file);
  }
  assert.ok(closure.packages.includes('npm:@grpc/grpc-js'));
  assert.ok(closure.packages.includes('npm:koffi'), 'what is loaded by createRequire counts too');
});

test('a break is told with the chain that leads to it', async () => {
  const breaks = breaksOf(await closureOf('bin/control-plane.ts'));
  const database =
    breaks.find((line) => line.startsWith('npm:pg:')) ?? assert.fail('pg is not found in the control plane');
  assert.match(database, /: bin\/control-plane\.ts -> .*store\/postgres\.ts -> npm:pg$/);
  for (const part of ['response/index.ts', 'ca/cloud/index.ts', 'npm:kysely']) {
    assert.ok(
      breaks.some((line) => line.startsWith(`${part}: `)),
      part,
    );
  }
});
