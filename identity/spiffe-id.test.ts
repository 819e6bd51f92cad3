import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  controlId,
  deviceId,
  operatorId,
  parseSpiffeId,
  parseSpiffeUri,
  parseTrustDomainId,
  trustDomainId,
  workloadId,
} from './spiffe-id.ts';

const refused = { code: 'IDENTITY_SPIFFE_ID_INVALID' };

/** The grammar of SPIFFE-ID sections 2.1 to 2.3 as one expression: an oracle that shares nothing with the parser. */
const grammar = /^[sS][pP][iI][fF][fF][eE]:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[a-zA-Z0-9._-]+)*$/;
const isSpiffe = (text: string): boolean => text.length <= 2048 && grammar.test(text);

describe('SPIFFE ID parser', () => {
  const bad: readonly (readonly [string, string])[] = [
    ['empty', ''],
    ['scheme alone', 'spiffe://'],
    ['another scheme', 'https://plant.example/device/a'],
    ['scheme without slashes', 'spiffe:plant.example/device/a'],
    ['three slashes', 'spiffe:///device/a'],
    ['port', 'spiffe://plant.example:8443/device/a'],
    ['user', 'spiffe://root@plant.example/device/a'],
    ['upper case in the trust domain', 'spiffe://Plant.example/device/a'],
    ['percent escape in the trust domain', 'spiffe://plant%2eexample/device/a'],
    ['percent escape in the path', 'spiffe://plant.example/device/%61'],
    ['trailing slash', 'spiffe://plant.example/device/a/'],
    ['trailing slash after the trust domain', 'spiffe://plant.example/'],
    ['empty segment', 'spiffe://plant.example//device/a'],
    ['dot segment', 'spiffe://plant.example/./device/a'],
    ['dot dot segment', 'spiffe://plant.example/device/../operator/a'],
    ['query', 'spiffe://plant.example/device/a?x=1'],
    ['fragment', 'spiffe://plant.example/device/a#x'],
    ['backslash', 'spiffe://plant.example/device\\a'],
    ['glob', 'spiffe://plant.example/device/*'],
    ['space', 'spiffe://plant.example/device/a b'],
    ['newline', 'spiffe://plant.example/device/a\n'],
    ['NUL', 'spiffe://plant.example/device/a\0b'],
    ['letter outside ASCII', 'spiffe://plant.example/device/ä'],
    ['Kelvin sign, which is a k in lower case', 'spiffe://\u212aplant.example/device/a'],
    ['long s in the scheme, which is an S in upper case', '\u017fpiffe://plant.example/device/a'],
    ['trust domain of 256 characters', `spiffe://${'a'.repeat(256)}/device/a`],
    ['2049 characters', `spiffe://a/${'b'.repeat(2049 - 11)}`],
  ];
  for (const [name, uri] of bad) {
    test(`refuses: ${name}`, () => {
      assert.throws(() => parseSpiffeUri(uri), refused);
      assert.throws(() => parseSpiffeId(uri), refused);
    });
  }

  test('accepts the longest trust domain and the longest ID', () => {
    assert.equal(parseSpiffeUri(`spiffe://${'a'.repeat(255)}`).trustDomain.length, 255);
    assert.equal(parseSpiffeUri(`spiffe://a/${'b'.repeat(2048 - 11)}`).path.length, 2038);
  });

  test('compares the scheme without case and answers one canonical form', () => {
    assert.equal(parseSpiffeId('SPIFFE://plant.example/device/A').uri, 'spiffe://plant.example/device/A');
    assert.notEqual(
      parseSpiffeId('spiffe://plant.example/device/A').uri,
      parseSpiffeId('spiffe://plant.example/device/a').uri,
    );
  });

  test('accepts exactly the grammar, for strings near it', () => {
    const piece = fc.constantFrom(
      'spiffe',
      'SPIFFE',
      '://',
      '/',
      'a',
      'Z',
      '0',
      '.',
      '..',
      '-',
      '_',
      '%',
      ':',
      '@',
      '?',
      '#',
      '\\',
      ' ',
      'plant.example',
      'device',
      'é',
    );
    const near = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''));
    const nearer = near.map((rest) => `spiffe://${rest}`);
    fc.assert(
      fc.property(fc.oneof(near, nearer, fc.string()), (text) => {
        let accepted = true;
        try {
          const { trustDomain, path } = parseSpiffeUri(text);
          assert.equal(trustDomain + path, text.slice('spiffe://'.length));
        } catch {
          accepted = false;
        }
        assert.equal(accepted, isSpiffe(text), JSON.stringify(text));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('kinds of identities', () => {
  const segment = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9._-]{0,40}$/);

  test('what is built is what is parsed', () => {
    fc.assert(
      fc.property(segment, segment, (device, name) => {
        const td = 'plant.example';
        for (const id of [
          deviceId(td, device),
          workloadId(td, device, name),
          operatorId(td, name),
          controlId(td, name),
        ]) {
          assert.deepEqual(parseSpiffeId(id.uri), id);
        }
        assert.equal(workloadId(td, device, name).device, device);
        assert.equal(workloadId(td, device, name).kind, 'workload');
        assert.equal(deviceId(td, device).name, device);
      }),
    );
  });

  for (const path of [
    '',
    '/device',
    '/robot/a',
    '/device/a/b',
    '/device/a/workload',
    '/device/a/robot/b',
    '/device/a/workload/b/c',
    '/operator/a/b',
    '/control/a/workload/b',
  ]) {
    test(`refuses the path "${path}"`, () => {
      assert.throws(() => parseSpiffeId(`spiffe://plant.example${path}`), refused);
    });
  }

  test('a name cannot smuggle in another path', () => {
    for (const name of ['a/workload/b', '..', '', 'a/', '/a', 'a?b', 'a'.repeat(65)]) {
      assert.throws(() => deviceId('plant.example', name), refused, name);
      assert.throws(() => operatorId('plant.example', name), refused, name);
    }
    assert.throws(() => deviceId('plant.example/device', 'a'), refused);
  });

  test('the ID of a trust domain has no path', () => {
    assert.equal(parseTrustDomainId(trustDomainId('plant.example')), 'plant.example');
    assert.throws(() => parseTrustDomainId('spiffe://plant.example/device/a'), refused);
    assert.throws(() => trustDomainId('Plant'), refused);
  });

  test('a refusal does not repeat what a stranger sent', () => {
    try {
      parseSpiffeId('spiffe://plant.example/device/\u001b[31mred');
      assert.fail('accepted');
    } catch (error) {
      assert.ok(error instanceof Error && !error.message.includes('red'));
    }
  });
});
