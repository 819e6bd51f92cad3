import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { documentPath, errorsByFolder, productFiles, renderErrors, sourceOf } from './errors.ts';

const declared = new Map([...(await errorsByFolder()).values()].flatMap((codes) => [...codes]));
const sources = productFiles().map((file) => ({ file, text: sourceOf(file) }));

test('docs/errors.md is what the tables say; otherwise run: node scripts/errors.ts --write', async () => {
  assert.equal(readFileSync(documentPath, 'utf8'), await renderErrors());
});

test('every code that is raised or compared as a literal is declared', () => {
  // errno names and the codes of Node and SQLSTATE are compared too; ours have a room's prefix.
  const prefixes = new Set([...declared.keys()].map((code) => code.split('_')[0]));
  const used = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/(?:[eE]rror\(\s*|code\s*[!=]==?\s*|case\s+)'([A-Z][A-Z0-9]*_[A-Z0-9_]+)'/g)].map((match) => ({
      code: match[1] ?? '',
      file,
    })),
  );
  assert.ok(used.length > declared.size / 2, `only ${used.length} uses seen`);
  const unknown = used.filter(({ code }) => prefixes.has(code.split('_')[0]) && !declared.has(code));
  assert.deepEqual(unknown, []);
});

test('every declared code is raised somewhere', () => {
  const unused = [...declared.keys()].filter((code) => {
    // The codes of gRPC itself are made of the status name (runtime/error-codes.ts, rpcCode).
    if (code.startsWith('RPC_')) return false;
    const uses = sources.map(({ text }) => text.split(`'${code}'`).length - 1);
    return uses.reduce((sum, count) => sum + count, 0) === 0;
  });
  assert.deepEqual(unused, []);
});

test('every remedy begins with a capital letter and is one sentence', () => {
  for (const [code, { remedy }] of declared) {
    assert.match(remedy, /^[A-Z][a-z]+/, code);
    assert.ok(remedy.length <= 200 && !remedy.includes('\n'), code);
  }
});
