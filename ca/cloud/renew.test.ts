// Renewal: the same name, a new key, and only over a certificate that still counts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCsr, generateKey } from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import { coded, enrolDevice, openTestCa, operator, trustDomain, verified } from '../../test/ca/support.ts';
import { forEachDatabase } from '../../test/support/databases.ts';

const peer = '192.0.2.7:40000';

forEachDatabase((name, open) => {
  describe(`renewal on ${name}`, () => {
    test('a new key gets the same name, and the old certificate stays valid', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      await world.clock.advance(7 * 86_400_000);
      const keys = generateKey();
      const renewed = verified(world, (await world.ca.renew({ svid, csrDer: createCsr(keys), peer })).chain);
      assert.equal(renewed.id.uri, svid.id.uri);
      assert.ok(renewed.publicKey.equals(keys.publicKey));
      assert.ok(renewed.notAfter > svid.notAfter);
      assert.deepEqual((await world.ca.revocations.current()).serials, []);
      const [current] = await world.ca.currentCertificates('plc-1');
      assert.equal(current?.serial, renewed.serialHex);
      assert.equal(world.events.at(-1)?.activity, 'renew');
      await world.ports.database.close();
    });

    test('the same request again (lost reply) gets the same bytes; 20 at once too', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      const request = { svid, csrDer: createCsr(generateKey()), peer };
      const answers = await Promise.all(Array.from({ length: 20 }, () => world.ca.renew(request)));
      assert.equal(new Set(answers.map(({ chain }) => chain[0]?.toString('hex'))).size, 1);
      assert.equal(answers.filter(({ repeated }) => !repeated).length, 1);
      await world.ports.database.close();
    });

    test('the key has to be new, and nobody else’s', async () => {
      const world = await openTestCa(await open());
      const first = await enrolDevice(world, 'plc-1');
      const other = await enrolDevice(world, 'plc-2');
      const with_ = (keys: typeof first.keys) => world.ca.renew({ svid: first.svid, csrDer: createCsr(keys), peer });
      await assert.rejects(with_(first.keys), coded('CA_KEY_NOT_NEW'));
      await assert.rejects(with_(other.keys), coded('CA_KEY_IN_USE'));
      assert.equal(world.events.at(-1)?.activity, 'renew_refuse');
      await world.ports.database.close();
    });

    test('the name has to be the caller’s', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      const csrDer = createCsr(generateKey(), `spiffe://${trustDomain}/device/plc-2`);
      await assert.rejects(world.ca.renew({ svid, csrDer, peer }), coded('CA_NAME_MISMATCH'));
      await world.ports.database.close();
    });

    test('a revoked, an expired and an unknown certificate renew nothing', async () => {
      const world = await openTestCa(await open());
      const revoked = await enrolDevice(world, 'plc-1');
      const expired = await enrolDevice(world, 'plc-2');
      const elsewhere = await enrolDevice(await openTestCa(await open(), { authority: world.authority }), 'plc-3');
      const again = (svid: typeof revoked.svid) => world.ca.renew({ svid, csrDer: createCsr(generateKey()), peer });
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      await assert.rejects(again(revoked.svid), coded('CA_CERTIFICATE_REVOKED'));
      await assert.rejects(again(elsewhere.svid), coded('CA_CERTIFICATE_UNKNOWN'));
      await world.clock.advance(15 * 86_400_000);
      await assert.rejects(again(expired.svid), coded('CA_CERTIFICATE_EXPIRED'));
      await world.ports.database.close();
    });

    test('a renewed certificate that was revoked is not repeated', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      const request = { svid, csrDer: createCsr(generateKey()), peer };
      await world.ca.renew(request);
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      await assert.rejects(world.ca.renew(request), coded('CA_CERTIFICATE_REVOKED'));
      await world.ports.database.close();
    });

    test('a decommissioned device renews nothing, nor does an operator', async () => {
      const refusal = caErrors.error('CA_DEVICE_DECOMMISSIONED', 'device plc-1 is decommissioned');
      const world = await openTestCa(await open(), { mayRenew: async () => ({ allowed: false, refusal }) });
      const { svid } = await enrolDevice(world, 'plc-1');
      const request = { svid, csrDer: createCsr(generateKey()), peer };
      await assert.rejects(world.ca.renew(request), coded('CA_DEVICE_DECOMMISSIONED'));
      const csrDer = createCsr(generateKey());
      const { chain } = await world.ca.issueOperator({
        name: 'ada',
        roles: ['viewer'],
        csrDer,
        ttlSeconds: 0,
        by: operator,
      });
      await assert.rejects(world.ca.renew({ ...request, svid: verified(world, chain) }), coded('CA_NAME_MISMATCH'));
      await world.ports.database.close();
    });
  });
});
