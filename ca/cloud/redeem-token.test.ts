// Who gets a certificate for a token, and who does not. On every database.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCsr, generateKey } from '../../identity/index.ts';
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
import type { CaTables } from './tables.ts';

forEachDatabase((name, open) => {
  describe(`redemption on ${name}`, () => {
    test('a token gets its device a certificate with the name of the inventory', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const keys = generateKey();
      const issued = await world.ca.redeemToken(redemption(line, keys));
      const svid = verified(world, issued.chain);
      assert.equal(svid.id.uri, `spiffe://${trustDomain}/device/plc-1`);
      assert.ok(svid.publicKey.equals(keys.publicKey));
      assert.equal(svid.serialHex, issued.serial);
      assert.equal(svid.notAfter - world.clock.now(), 14 * 86_400_000 - 1000);
      assert.deepEqual(world.enrolled, [
        {
          deviceId: 'plc-1',
          id: svid.id,
          serial: issued.serial,
          reimage: false,
          tokenId: line.tokenId,
          createdBy: operator,
          agentVersion: '0.1.0',
        },
      ]);
      assert.deepEqual(
        world.events.map((event) => event.activity),
        ['token_create', 'enroll'],
      );
      await world.ports.database.close();
    });

    test('200 redemptions at once with different keys: exactly one certificate', { timeout: 120_000 }, async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const requests = Array.from({ length: 200 }, () => redemption(line, generateKey()));
      const outcomes = await Promise.allSettled(requests.map((request) => world.ca.redeemToken(request)));
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      assert.equal(outcomes.length - refused.length, 1);
      for (const { reason } of refused) assert.ok(coded('CA_TOKEN_USED')(reason));
      const rows = await world.ports.database
        .withTables<CaTables>()
        .selectFrom('ca_certificates')
        .select('state')
        .where('subject', '=', `spiffe://${trustDomain}/device/plc-1`)
        .execute();
      assert.deepEqual(rows, [{ state: 'issued' }]);
      assert.equal(world.enrolled.length, 1);
      assert.equal(world.events.filter((event) => event.data['code'] === 'CA_TOKEN_USED').length, 199);
      await world.ports.database.close();
    });

    test('50 redemptions at once with the same key: the same bytes every time', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const request = redemption(line, generateKey());
      const answers = await Promise.all(Array.from({ length: 50 }, () => world.ca.redeemToken(request)));
      const leaves = new Set(answers.map(({ chain }) => chain[0]?.toString('hex')));
      assert.equal(leaves.size, 1);
      assert.equal(new Set(world.enrolled.map(({ serial }) => serial)).size, 1);
      await world.ports.database.close();
    });

    test('two tokens for one device at once: one certificate', async () => {
      const world = await openTestCa(await open());
      const lines = [await tokenFor(world, 'plc-1'), await tokenFor(world, 'plc-1')];
      const outcomes = await Promise.allSettled(
        lines.map((line) => world.ca.redeemToken(redemption(line, generateKey()))),
      );
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      assert.equal(refused.length, 1);
      assert.ok(coded('CA_DEVICE_ENROLLED')(refused[0]?.reason));
      await world.ports.database.close();
    });

    test('two devices at once with one key: one certificate', async () => {
      const world = await openTestCa(await open());
      const keys = generateKey();
      const lines = [await tokenFor(world, 'plc-1'), await tokenFor(world, 'plc-2')];
      const outcomes = await Promise.allSettled(lines.map((line) => world.ca.redeemToken(redemption(line, keys))));
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      assert.equal(refused.length, 1);
      assert.ok(coded('CA_KEY_IN_USE')(refused[0]?.reason));
      await world.ports.database.close();
    });

    test('the same key again gets the same certificate until the token expires', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const keys = generateKey();
      const first = await world.ca.redeemToken(redemption(line, keys));
      await world.clock.advance(59 * 60_000);
      const again = await world.ca.redeemToken(redemption(line, keys));
      assert.deepEqual(again.chain, first.chain);
      assert.equal(again.repeated, true);
      assert.equal(world.enrolled.length, 1);
      await world.clock.advance(60_000);
      await assert.rejects(world.ca.redeemToken(redemption(line, keys)), coded('CA_TOKEN_EXPIRED'));
      await world.ports.database.close();
    });

    test('another key with a used token is refused, also after expiry, and is told to the audit log', async () => {
      const world = await openTestCa(await open());
      const { line } = await enrolDevice(world, 'plc-1');
      await assert.rejects(world.ca.redeemToken(redemption(line, generateKey())), coded('CA_TOKEN_USED'));
      await world.clock.advance(2 * 3_600_000);
      await assert.rejects(world.ca.redeemToken(redemption(line, generateKey())), coded('CA_TOKEN_USED'));
      const [event] = world.events.slice(-1);
      assert.equal(event?.activity, 'enroll_refuse');
      assert.equal(event?.severity, 'high');
      assert.equal(event?.data['code'], 'CA_TOKEN_USED');
      assert.equal(event?.data['device'], 'plc-1');
      assert.equal(event?.data['peer'], '192.0.2.7:40000');
      await world.ports.database.close();
    });

    test('expired, revoked, unknown, and wrong secret: each refused, the last two with one answer', async () => {
      const world = await openTestCa(await open());
      const late = await tokenFor(world, 'plc-1', { ttlSeconds: 60 });
      const revoked = await tokenFor(world, 'plc-1');
      await world.ca.revokeToken({ tokenId: revoked.tokenId, by: operator });
      await world.clock.advance(60_000);
      await assert.rejects(world.ca.redeemToken(redemption(late, generateKey())), coded('CA_TOKEN_EXPIRED'));
      await assert.rejects(world.ca.redeemToken(redemption(revoked, generateKey())), coded('CA_TOKEN_REVOKED'));
      const messages: string[] = [];
      const wrong = { ...revoked, secret: Buffer.alloc(32, 1) };
      const unknown = { ...revoked, tokenId: 'ff'.repeat(10) };
      for (const line of [wrong, unknown]) {
        await assert.rejects(world.ca.redeemToken(redemption(line, generateKey())), (error: Error) => {
          messages.push(error.message);
          return coded('CA_TOKEN_UNKNOWN')(error);
        });
      }
      assert.equal(messages[0], messages[1]);
      const about = world.events.filter((event) => event.data['code'] === 'CA_TOKEN_UNKNOWN');
      assert.equal(about.length, 2);
      assert.ok(about.every((event) => event.data['device'] === undefined));
      await world.ports.database.close();
    });

    test('a request for another name is refused; for its own name it is not', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const keys = generateKey();
      for (const uri of [
        `spiffe://${trustDomain}/device/plc-2`,
        `spiffe://${trustDomain}/operator/plc-1`,
        'spiffe://other.example/device/plc-1',
      ]) {
        await assert.rejects(world.ca.redeemToken(redemption(line, keys, uri)), coded('CA_NAME_MISMATCH'));
      }
      const issued = await world.ca.redeemToken(redemption(line, keys, `spiffe://${trustDomain}/device/plc-1`));
      assert.equal(verified(world, issued.chain).id.name, 'plc-1');
      await assert.rejects(
        world.ca.redeemToken(redemption(line, keys, `spiffe://${trustDomain}/device/plc-2`)),
        coded('CA_NAME_MISMATCH'),
      );
      await world.ports.database.close();
    });

    test('a malformed request never reaches the database and is told to the audit log', async () => {
      const world = await openTestCa(await open());
      const line = await tokenFor(world, 'plc-1');
      const good = redemption(line, generateKey());
      const broken = Buffer.from(good.csrDer);
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
      const cases: [Partial<typeof good>, string][] = [
        [{ tokenId: 'x' }, 'CA_REQUEST_INVALID'],
        [{ secret: Buffer.alloc(31) }, 'CA_REQUEST_INVALID'],
        [{ agentVersion: 'a'.repeat(65) }, 'CA_REQUEST_INVALID'],
        [{ agentVersion: 'a\nb' }, 'CA_REQUEST_INVALID'],
        [{ csrDer: Buffer.alloc(16 * 1024 + 1) }, 'CA_REQUEST_INVALID'],
        [{ csrDer: Buffer.alloc(0) }, 'IDENTITY_CSR_INVALID'],
        [{ csrDer: broken }, 'IDENTITY_CSR_NOT_PROVEN'],
      ];
      for (const [change, code] of cases) {
        await assert.rejects(world.ca.redeemToken({ ...good, ...change }), coded(code));
        assert.equal(world.events.at(-1)?.data['code'], code);
      }
      assert.equal((await world.ca.listTokens())[0]?.state, 'open');
      await world.ports.database.close();
    });

    test('an enrolled device comes back only with a re-image token, which revokes what it had', async () => {
      const world = await openTestCa(await open());
      const ordinary = await tokenFor(world, 'plc-1');
      const first = await enrolDevice(world, 'plc-1');
      await assert.rejects(world.ca.redeemToken(redemption(ordinary, generateKey())), coded('CA_DEVICE_ENROLLED'));
      await assert.rejects(tokenFor(world, 'plc-1'), coded('CA_DEVICE_ENROLLED'));
      const again = await tokenFor(world, 'plc-1', { reimage: true });
      await assert.rejects(world.ca.redeemToken(redemption(again, first.keys)), coded('CA_KEY_NOT_NEW'));
      assert.equal(world.ca.revocations.isRevoked(first.svid.serialHex), false);
      const { chain } = await world.ca.redeemToken(redemption(again, generateKey()));
      assert.equal(world.ca.revocations.isRevoked(first.svid.serialHex), true);
      assert.equal(world.ca.revocations.isRevoked(verified(world, chain).serialHex), false);
      assert.deepEqual(world.revoked, [first.svid.serialHex]);
      assert.equal(world.enrolled.at(-1)?.reimage, true);
      await world.ports.database.close();
    });

    test('once its certificate expired, a device may enrol with an ordinary token and a new key', async () => {
      const world = await openTestCa(await open());
      const first = await enrolDevice(world, 'plc-1');
      await world.clock.advance(15 * 86_400_000);
      const line = await tokenFor(world, 'plc-1');
      await assert.rejects(world.ca.redeemToken(redemption(line, first.keys)), coded('CA_KEY_NOT_NEW'));
      await world.ca.redeemToken(redemption(line, generateKey()));
      await world.ports.database.close();
    });

    test('a device that must not enrol is refused when the token is made and when it is redeemed', async () => {
      const refusal = caErrors.error('CA_DEVICE_DECOMMISSIONED', 'Device plc-1 is decommissioned.');
      let allowed = true;
      const world = await openTestCa(await open(), {
        mayEnroll: async () => (allowed ? { allowed } : { allowed: false, refusal }),
      });
      const line = await tokenFor(world, 'plc-1');
      allowed = false;
      await assert.rejects(world.ca.redeemToken(redemption(line, generateKey())), coded('CA_DEVICE_DECOMMISSIONED'));
      assert.equal(world.events.at(-1)?.severity, 'high');
      await assert.rejects(tokenFor(world, 'plc-1'), coded('CA_DEVICE_DECOMMISSIONED'));
      await world.ports.database.close();
    });

    test('a device that left the inventory is refused', async () => {
      let known = true;
      const world = await openTestCa(await open(), { inventory: async () => ({ known }) });
      const line = await tokenFor(world, 'plc-1');
      known = false;
      await assert.rejects(world.ca.redeemToken(redemption(line, generateKey())), coded('CA_DEVICE_UNKNOWN'));
      await assert.rejects(tokenFor(world, 'plc-2'), coded('CA_DEVICE_UNKNOWN'));
      await world.ports.database.close();
    });

    test('revoking a device closes its open tokens and ends the repeat of used ones', async () => {
      const world = await openTestCa(await open());
      const openLine = await tokenFor(world, 'plc-1');
      const { line, keys } = await enrolDevice(world, 'plc-1');
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      await assert.rejects(world.ca.redeemToken(redemption(openLine, generateKey())), coded('CA_TOKEN_REVOKED'));
      await assert.rejects(world.ca.redeemToken(redemption(line, keys)), coded('CA_TOKEN_REVOKED'));
      await world.ports.database.close();
    });

    test('trust domains in one database share nothing', async () => {
      const database = await open();
      const world = await openTestCa(database);
      const authority = makeAuthority('other.example', world.clock, world.ports.random);
      const other = await openTestCa(database, { authority, clock: world.clock });
      const line = await tokenFor(world, 'plc-1');
      await assert.rejects(other.ca.redeemToken(redemption(line, generateKey())), coded('CA_TOKEN_UNKNOWN'));
      assert.deepEqual(await other.ca.listTokens(), []);
      const keys = generateKey();
      await world.ca.redeemToken(redemption(line, keys));
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'test', by: operator });
      assert.deepEqual(await other.ca.revocations.current(), { version: 0, serials: [] });
      const { tokenId, secret } = await tokenFor(other, 'plc-1');
      const { chain } = await other.ca.redeemToken({
        ...redemption({ tokenId, secret }, keys),
        csrDer: createCsr(keys),
      });
      assert.equal(verified(other, chain).id.trustDomain, 'other.example');
      await database.close();
    });
  });
});
