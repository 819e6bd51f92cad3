// Operators, their roles, publishers, anchors, and tokens as people see them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCsr, generateKey, generateNoteKey, jwkOf, keyId, trustAnchorsFromWire } from '../../identity/index.ts';
import { coded, enrolDevice, openTestCa, operator, tokenFor, verified } from '../../test/ca/support.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { operatorRoles } from './operators.ts';

forEachDatabase((name, open) => {
  describe(`people on ${name}`, () => {
    test('an operator gets a short certificate and the roles that were given', async () => {
      const world = await openTestCa(await open());
      const keys = generateKey();
      const request = {
        name: 'ada',
        roles: ['operator', 'viewer'],
        csrDer: createCsr(keys),
        ttlSeconds: 0,
        by: operator,
      };
      const issued = await world.ca.issueOperator(request);
      const svid = verified(world, issued.chain);
      assert.equal(svid.id.kind, 'operator');
      assert.equal(svid.id.name, 'ada');
      assert.equal(svid.notAfter, world.clock.now() + 8 * 3_600_000 - 1000);
      assert.deepEqual(await world.ca.rolesOf('ada'), ['viewer', 'operator']);
      assert.deepEqual(await world.ca.rolesOf('eve'), []);
      await world.ca.issueOperator({ ...request, roles: ['auditor'], ttlSeconds: 60 });
      assert.deepEqual(await world.ca.rolesOf('ada'), ['auditor']);
      await world.ports.database.close();
    });

    test('the first administrator has every role, for 24 hours', async () => {
      const world = await openTestCa(await open());
      const { chain } = await world.ca.bootstrapAdministrator({ name: 'admin', csrDer: createCsr(generateKey()) });
      assert.equal(verified(world, chain).notAfter, world.clock.now() + 86_400_000 - 1000);
      assert.deepEqual(await world.ca.rolesOf('admin'), [...operatorRoles]);
      await world.ports.database.close();
    });

    test('bad names, roles, lifetimes, and keys of others are refused', async () => {
      const world = await openTestCa(await open());
      const { keys: deviceKeys } = await enrolDevice(world, 'plc-1');
      const good = { name: 'ada', roles: ['viewer'], csrDer: createCsr(generateKey()), ttlSeconds: 60, by: operator };
      const cases: [Partial<typeof good>, string][] = [
        [{ name: '' }, 'CA_OPERATOR_INVALID'],
        [{ name: 'Ada' }, 'CA_OPERATOR_INVALID'],
        [{ name: '../ada' }, 'CA_OPERATOR_INVALID'],
        [{ name: 'a'.repeat(65) }, 'CA_OPERATOR_INVALID'],
        [{ roles: [] }, 'CA_OPERATOR_INVALID'],
        [{ roles: ['root'] }, 'CA_OPERATOR_INVALID'],
        [{ roles: ['viewer', 'viewer'] }, 'CA_OPERATOR_INVALID'],
        [{ ttlSeconds: 86_401 }, 'CA_OPERATOR_INVALID'],
        [{ ttlSeconds: -1 }, 'CA_OPERATOR_INVALID'],
        [{ csrDer: createCsr(deviceKeys) }, 'CA_KEY_IN_USE'],
        [{ csrDer: createCsr(generateKey(), operator.replace('ada', 'eve')) }, 'CA_NAME_MISMATCH'],
      ];
      for (const [change, code] of cases) {
        await assert.rejects(world.ca.issueOperator({ ...good, ...change }), coded(code));
      }
      assert.deepEqual(await world.ca.rolesOf('ada'), []);
      await world.ports.database.close();
    });

    test('a revoked operator has no role, no certificate, and no way back with the same key', async () => {
      const world = await openTestCa(await open());
      const request = { name: 'eve', roles: ['viewer'], csrDer: createCsr(generateKey()), ttlSeconds: 0, by: operator };
      const { serial } = await world.ca.issueOperator(request);
      await world.ca.revokeOperator({ name: 'eve', reason: 'left', by: operator });
      assert.deepEqual(await world.ca.rolesOf('eve'), []);
      assert.equal(world.ca.revocations.isRevoked(serial), true);
      await assert.rejects(world.ca.issueOperator(request), coded('CA_CERTIFICATE_REVOKED'));
      await assert.rejects(
        world.ca.revokeOperator({ name: 'nobody', reason: 'left', by: operator }),
        coded('CA_OPERATOR_INVALID'),
      );
      await world.ports.database.close();
    });

    test('publishers are public keys, each once, and raise the version of the anchors', async () => {
      const world = await openTestCa(await open());
      const { publicKey, privateKey } = generateKey();
      const jwk = jwkOf(publicKey);
      const before = await world.ca.trustAnchors();
      assert.equal(before.version, 1);
      const add = (publicKeyJwk: string) => world.ca.addPublisher({ publicKeyJwk, by: operator });
      assert.equal((await add(JSON.stringify({ ...jwk, use: 'sig' }))).keyId, keyId(publicKey));
      await add(JSON.stringify(jwk));
      const { version, anchors } = await world.ca.trustAnchors();
      assert.equal(version, 2);
      const parsed = trustAnchorsFromWire(anchors);
      assert.deepEqual(parsed.publisherKeys, [jwk]);
      assert.deepEqual(parsed.ordersKeys, [world.authority.ordersJwk]);
      assert.deepEqual(parsed.roots, [world.authority.root.certificate.raw]);
      assert.equal(parsed.logVerifierKey, world.authority.logVerifierKey);
      assert.deepEqual(await world.ca.listPublishers(), [{ keyId: keyId(jwk), jwk }]);
      const bad = [
        'no json',
        '{}',
        JSON.stringify(privateKey.export({ format: 'jwk' })),
        JSON.stringify(generateNoteKey().publicKey.export({ format: 'jwk' })),
        JSON.stringify(world.authority.ordersJwk),
        JSON.stringify(jwkOf(world.authority.root.certificate.publicKey)),
        JSON.stringify({ ...jwk, note: 'x'.repeat(1024) }),
      ];
      for (const text of bad) await assert.rejects(add(text), coded('CA_PUBLISHER_KEY_INVALID'));
      assert.equal((await world.ca.trustAnchors()).version, 2);
      await world.ports.database.close();
    });

    test('tokens are listed by state, newest first, and without secrets', async () => {
      const world = await openTestCa(await open());
      const expired = await tokenFor(world, 'plc-1', { ttlSeconds: 1 });
      await world.clock.advance(1000);
      const revoked = await tokenFor(world, 'plc-2');
      await world.ca.revokeToken({ tokenId: revoked.tokenId, by: operator });
      await world.ca.revokeToken({ tokenId: revoked.tokenId, by: operator });
      await world.clock.advance(1);
      const { line: used } = await enrolDevice(world, 'plc-3');
      await world.clock.advance(1);
      const fresh = await tokenFor(world, 'plc-4', { reimage: true });
      const listed = await world.ca.listTokens();
      assert.deepEqual(
        listed.map(({ tokenId, state }) => [tokenId, state]),
        [
          [fresh.tokenId, 'open'],
          [used.tokenId, 'used'],
          [revoked.tokenId, 'revoked'],
          [expired.tokenId, 'expired'],
        ],
      );
      assert.equal(listed[0]?.reimage, true);
      const secret = fresh.secret.toString('base64url');
      assert.ok(!JSON.stringify([listed, world.events]).includes(secret));
      assert.equal(world.events.filter(({ activity }) => activity === 'token_revoke').length, 1);
      await assert.rejects(world.ca.revokeToken({ tokenId: 'ff'.repeat(10), by: operator }), coded('CA_TOKEN_ABSENT'));
      await world.ports.database.close();
    });

    test('a token lives an hour by default and a day at most', async () => {
      const world = await openTestCa(await open());
      const make = (ttlSeconds: number) =>
        world.ca.createToken({ deviceId: 'plc-1', ttlSeconds, reimage: false, by: operator });
      assert.equal((await make(0)).expiresAtMs, world.clock.now() + 3_600_000);
      assert.equal((await make(86_400)).expiresAtMs, world.clock.now() + 86_400_000);
      for (const ttl of [86_401, -1, 0.5]) await assert.rejects(make(ttl), coded('CA_TOKEN_TTL'));
      await world.ports.database.close();
    });
  });
});
