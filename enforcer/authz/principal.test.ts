// A principal that is not exactly a SPIFFE ID names nobody.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exactPrincipal } from './principal.ts';

const gateway = 'spiffe://plant.example/device/gateway-1';

test('an exact SPIFFE ID is a principal', () => {
  for (const principal of [gateway, `${gateway}/workload/web`, 'spiffe://plant.example/operator/ada']) {
    assert.equal(exactPrincipal(principal), principal);
  }
});

test('anything else is nobody', () => {
  for (const principal of [
    ['', 'gateway-1', 'CN=gateway-1,O=plant', 'gateway-1.plant.example', 'https://plant.example/device/gateway-1'],
    [
      `${gateway}\u0000`,
      `${gateway}\u0000.evil.example`,
      `${gateway}\n`,
      ` ${gateway}`,
      `${gateway} `,
      `${gateway}\u007f`,
    ],
    ['SPIFFE://plant.example/device/gateway-1', 'spiffe://Plant.example/device/gateway-1'],
    ['spiffe://plant.example/device/gateway%2d1', 'spiffe://plant.example/device%2Fgateway-1'],
    ['spiffe://plant.example/device/../device/gateway-1', 'spiffe://plant.example//device/gateway-1', `${gateway}/`],
    ['spiffe://plant.example/device/g\u00e4teway', `${gateway}?x`, `${gateway}#x`, `${gateway},${gateway}`],
    [
      'spiffe://a@plant.example/device/gateway-1',
      'spiffe://plant.example:443/device/gateway-1',
      'spiffe://plant.example',
    ],
  ].flat()) {
    assert.equal(exactPrincipal(principal), undefined, JSON.stringify(principal));
  }
});

test('property: with any byte more it is another principal or nobody, and never a fault', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), fc.nat(gateway.length), (bytes, at) => {
      const principal = gateway.slice(0, at) + bytes + gateway.slice(at);
      const read = exactPrincipal(principal);
      assert.ok(read === undefined || (read === principal && /^spiffe:\/\/[a-z0-9._/A-Z-]+$/.test(read)));
    }),
    { numRuns: 3_000 },
  );
});
