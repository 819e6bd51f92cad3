// One peer has one address, however a socket writes it (the class of CVE-2026-27624).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpoint } from './endpoint.ts';

test('endpoint: an IPv4-mapped address is the IPv4 address', () => {
  assert.deepEqual(endpoint('::ffff:192.0.2.1', 502), { address: '192.0.2.1', port: 502 });
  assert.deepEqual(endpoint('::FFFF:192.0.2.1', 502), { address: '192.0.2.1', port: 502 });
  assert.deepEqual(endpoint('192.0.2.1', 502), { address: '192.0.2.1', port: 502 });
  assert.deepEqual(endpoint('fd00::1', 502), { address: 'fd00::1', port: 502 });
  assert.deepEqual(endpoint('::ffff:1', 502), { address: '::ffff:1', port: 502 });
  assert.deepEqual(endpoint(undefined, undefined), { address: '', port: 0 });
});
