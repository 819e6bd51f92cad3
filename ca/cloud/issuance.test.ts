// A crash between the commit of a serial and the signature leaves nothing unaccounted, and nothing is signed twice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCsr, generateKey, parseCertificate } from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import {
  coded,
  enrolDevice,
  openTestCa,
  operator,
  redemption,
  tokenFor,
  trustDomain,
  verified,
} from '../../test/ca/support.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { makeAuthority } from './authority.ts';
import type { CaPorts } from './ports.ts';
import type { CaTables } from './tables.ts';

class Crash extends Error {}

const subject = `spiffe://${trustDomain}/device/plc-1`;

async function rowsOf({ database }: CaPorts) {
  return await database
    .withTables<CaTables>()
    .selectFrom('ca_certificates')
    .selectAll()
    .where('subject', '=', subject)
    .execute();
}

forEachDatabase((name, open) => {
  describe(`issuance on ${name}`, () => {
    test('the row and its TBS are committed before anything is signed', async () => {
      const world = await openTestCa(await open());
      const { authority } = world;
      let seen: Awaited<ReturnType<typeof rowsOf>> = [];
      const { ca, ports } = await world.restart({
        authority: {
          ...authority,
          sign: async (prepared) => {
            seen = await rowsOf(ports);
            return await authority.sign(prepared);
          },
        },
      });
      const { chain } = await ca.redeemToken(redemption(await tokenFor(world, 'plc-1'), generateKey()));
      const [before] = seen;
      const [after] = await rowsOf(ports);
      assert.equal(before?.state, 'reserved');
      assert.equal(after?.state, 'issued');
      const certificate = parseCertificate(chain[0] ?? Buffer.alloc(0));
      assert.ok(certificate.tbs.equals(before.tbs ?? Buffer.alloc(0)), 'what was signed is what was committed');
      assert.equal(before.serial, certificate.serialHex);
      assert.ok(certificate.raw.equals(after.der ?? Buffer.alloc(0)));
      await ports.database.close();
    });

    test('a crash before the signature: the row is marked at the next start, the same key completes it, no other can', async () => {
      const world = await openTestCa(await open());
      const crash: CaPorts['authority'] = {
        ...world.authority,
        sign: () => Promise.reject(new Crash()),
      };
      const line = await tokenFor(world, 'plc-1');
      const keys = generateKey();
      const crashing = await world.restart({ authority: crash });
      await assert.rejects(crashing.ca.redeemToken(redemption(line, keys)), Crash);
      assert.deepEqual(
        (await rowsOf(world.ports)).map((row) => row.state),
        ['reserved'],
      );
      assert.equal(crashing.enrolled.length, 0);

      const again = await world.restart();
      assert.deepEqual(
        (await rowsOf(world.ports)).map((row) => row.state),
        ['interrupted'],
      );
      assert.equal(again.enrolled.length, 0, 'a device without a certificate is not announced');
      await assert.rejects(again.ca.redeemToken(redemption(line, generateKey())), coded('CA_TOKEN_USED'));
      const issued = await again.ca.redeemToken(redemption(line, keys));
      const [row, ...more] = await rowsOf(world.ports);
      assert.equal(more.length, 0, 'the interrupted certificate was completed, not a second one made');
      assert.equal(row?.serial, issued.serial);
      assert.equal(verified(again, issued.chain).id.uri, subject);
      assert.deepEqual(
        again.enrolled.map(({ serial }) => serial),
        [issued.serial],
      );
      await world.ports.database.close();
    });

    test('a crash after the signature, before its commit: a later signature over the same bytes is the only one that leaves', async () => {
      const world = await openTestCa(await open());
      let lost: Buffer | undefined;
      const crashing = await world.restart({
        authority: {
          ...world.authority,
          sign: async (prepared) => {
            lost = await world.authority.sign(prepared);
            throw new Crash();
          },
        },
      });
      const line = await tokenFor(world, 'plc-1');
      const keys = generateKey();
      await assert.rejects(crashing.ca.redeemToken(redemption(line, keys)), Crash);
      const again = await world.restart();
      const first = await again.ca.redeemToken(redemption(line, keys));
      const second = await again.ca.redeemToken(redemption(line, keys));
      assert.deepEqual(first.chain, second.chain);
      assert.ok(lost !== undefined);
      assert.ok(parseCertificate(first.chain[0] ?? lost).tbs.equals(parseCertificate(lost).tbs));
      await world.ports.database.close();
    });

    test('a device revoked between reservation and signature gets nothing, and the serial is on the list', async () => {
      const world = await openTestCa(await open());
      const revoking = await world.restart({
        authority: {
          ...world.authority,
          sign: async (prepared) => {
            await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
            return await world.authority.sign(prepared);
          },
        },
      });
      const line = await tokenFor(world, 'plc-1');
      await assert.rejects(revoking.ca.redeemToken(redemption(line, generateKey())), coded('CA_CERTIFICATE_REVOKED'));
      const [row] = await rowsOf(world.ports);
      assert.equal(row?.der, null);
      assert.deepEqual((await world.ca.revocations.current()).serials, [row?.serial]);
      await world.ports.database.close();
    });

    test('a crash between the commit and onEnrolled: the next start tells of the device', async () => {
      const world = await openTestCa(await open());
      const deaf = await world.restart({ onEnrolled: () => Promise.reject(new Crash()) });
      const line = await tokenFor(world, 'plc-1');
      await assert.rejects(deaf.ca.redeemToken(redemption(line, generateKey())), Crash);
      const again = await world.restart();
      assert.deepEqual(
        again.enrolled.map(({ deviceId, agentVersion }) => [deviceId, agentVersion]),
        [['plc-1', '']],
      );
      assert.equal((await world.restart()).enrolled.length, 0, 'once');
      await world.ports.database.close();
    });

    test('an enrolment that others refuse to hear of does not keep the control plane from starting', async () => {
      const world = await openTestCa(await open());
      const refusing = {
        onEnrolled: () => Promise.reject(caErrors.error('CA_DEVICE_UNKNOWN', 'as a state machine may')),
      };
      const deaf = await world.restart(refusing);
      const line = await tokenFor(world, 'plc-1');
      await assert.rejects(deaf.ca.redeemToken(redemption(line, generateKey())), coded('CA_DEVICE_UNKNOWN'));
      await world.restart(refusing);
      assert.equal((await world.restart()).enrolled.length, 1);
      await world.ports.database.close();
    });

    test('a database of another authority is refused', async () => {
      const world = await openTestCa(await open());
      const authority = makeAuthority(trustDomain, world.clock, world.ports.random);
      await assert.rejects(world.restart({ authority }), coded('CA_AUTHORITY_INVALID'));
      await world.ports.database.close();
    });

    test('a database that is gone is an error with its own code, and no evidence against the device', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const unavailable = caErrors.error('CA_REVOCATIONS_STALE', 'as when the database is gone');
      const gone: CaPorts['database'] = { ...world.ports.database, transaction: () => Promise.reject(unavailable) };
      const { mayEnroll } = world.ports;
      const broken = { ...world.ports, database: gone, mayEnroll, revocations: world.ca.revocations };
      const { redeemToken } = await import('./redeem-token.ts');
      await assert.rejects(redeemToken(broken, redemption(line, generateKey())), coded('CA_REVOCATIONS_STALE'));
      assert.equal(world.events.filter(({ activity }) => activity === 'enroll_refuse').length, 0);
      await world.ports.database.close();
    });

    test('the newest certificate of a device is the current one', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      await world.clock.advance(1000);
      const renewed = await world.ca.renew({ svid, csrDer: createCsr(generateKey()), peer: 'test' });
      const current = await world.ca.currentCertificates();
      assert.deepEqual(current, [
        { deviceId: 'plc-1', serial: renewed.serial, notAfterMs: verified(world, renewed.chain).notAfter },
      ]);
      assert.ok((await world.ca.certificateInUse('plc-1')).equals(renewed.chain[0] ?? Buffer.alloc(0)));
      assert.deepEqual(await world.ca.currentCertificates('plc-2'), []);
      await assert.rejects(world.ca.certificateInUse('plc-2'), coded('CA_CERTIFICATE_UNKNOWN'));
      await world.ports.database.close();
    });
  });
});
