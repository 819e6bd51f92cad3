// `UPDATE_GOLDEN=1 node --test` writes the lower halves anew; read the difference before you commit it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { policyNames, readPolicy, writePolicy } from './policy-golden.ts';

for (const name of policyNames) {
  test(`policies/${name} becomes the slice and the nftables text below its line`, () => {
    const { actual, below } = readPolicy(name);
    if (process.env['UPDATE_GOLDEN'] === '1') writePolicy(name, actual);
    else assert.equal(actual, below);
  });

  test(`policies/${name} is what nft accepts`, (t) => {
    if (!requires(t, 'root', 'nft')) return;
    const input = readPolicy(name).text;
    const { status, stderr } = spawnSync('unshare', ['--net', 'nft', '-c', '-f', '-'], { input, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
}
