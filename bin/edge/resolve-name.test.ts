import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveName } from './resolve-name.ts';

const never = new AbortController().signal;

test('a name is resolved as the host does, each address once', async () => {
  const addresses = await resolveName('localhost', never);
  assert.ok(
    addresses.every((address) => address === '127.0.0.1' || address === '::1'),
    addresses.join(),
  );
  assert.equal(new Set(addresses).size, addresses.length);
  assert.deepEqual(await resolveName('10.20.0.1', never), ['10.20.0.1']);
});

test('a name that nobody knows, and one that looks like an option, reject', async () => {
  await assert.rejects(resolveName('a..b', never), /no resolver knows it/);
  await assert.rejects(resolveName('--version', never), /no resolver knows it/);
});

test('a question ends with its signal', async () => {
  await assert.rejects(resolveName('localhost', AbortSignal.abort()), /abort/i);
});
