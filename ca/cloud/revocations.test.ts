// Revocation: complete, versioned, known at once here and soon elsewhere, and never guessed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCsr, generateKey } from '../../identity/index.ts';
import { coded, enrolDevice, openTestCa, operator } from '../../test/ca/support.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';
import { openRevocations } from './revocations.ts';

const day = 86_400_000;

forEachDatabase((name, open) => {
  describe(`revocation on ${name}`, () => {
    test('all certificates of the device, under the next version, told once', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      const renewed = await world.ca.renew({ svid, csrDer: createCsr(generateKey()), peer: 'test' });
      const other = await enrolDevice(world, 'plc-2');
      assert.deepEqual(await world.ca.revocations.current(), { version: 0, serials: [] });
      const list = await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      const expected = [svid.serialHex, renewed.serial].sort();
      assert.deepEqual(list, { version: 1, serials: expected });
      assert.deepEqual(world.revoked, expected);
      assert.deepEqual(
        [svid.serialHex, renewed.serial, other.svid.serialHex].map((serial) => world.ca.revocations.isRevoked(serial)),
        [true, true, false],
      );
      const event = world.events.at(-1);
      assert.equal(event?.activity, 'certificates_revoke');
      assert.equal(event?.data['count'], 2);
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'again', by: operator });
      assert.deepEqual(await world.ca.revocations.current(), { version: 1, serials: expected });
      assert.deepEqual(world.revoked, expected);
      await world.ports.database.close();
    });

    test('versions have no gaps when many devices are revoked at once', async () => {
      const world = await openTestCa(await open());
      const ids = Array.from({ length: 20 }, (_, index) => `plc-${index + 1}`);
      for (const id of ids) await enrolDevice(world, id);
      await Promise.all(ids.map((deviceId) => world.ca.revokeDevice({ deviceId, reason: 'batch', by: operator })));
      const { version, serials } = await world.ca.revocations.current();
      assert.equal(version, 20);
      assert.equal(serials.length, 20);
      assert.deepEqual(serials, [...serials].sort());
      assert.equal(new Set(world.revoked).size, 20);
      assert.equal(world.revoked.length, 20);
      await world.ports.database.close();
    });

    test('expired certificates leave the list with the next version', async () => {
      const world = await openTestCa(await open());
      const early = await enrolDevice(world, 'plc-1');
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      await world.clock.advance(15 * day);
      const late = await enrolDevice(world, 'plc-2');
      assert.deepEqual(
        (await world.ca.revocations.current()).serials,
        [early.svid.serialHex],
        'same version, same list',
      );
      await world.ca.revokeDevice({ deviceId: 'plc-2', reason: 'stolen', by: operator });
      assert.deepEqual(await world.ca.revocations.current(), { version: 2, serials: [late.svid.serialHex] });
      await world.ports.database.close();
    });

    test('another replica learns of it by its own reading, and is told the serials that are new to it', async () => {
      const world = await openTestCa(await open());
      const replica = await world.restart();
      const { svid } = await enrolDevice(world, 'plc-1');
      const stop = new AbortController();
      const reading = replica.ca.revocations.keepFresh(stop.signal);
      await world.ca.revokeDevice({ deviceId: 'plc-1', reason: 'stolen', by: operator });
      while (replica.revoked.length === 0) {
        // The reader sleeps on the fake clock and reads in real time.
        if (world.clock.sleeping > 0) await world.clock.advance(limits.revocationPollMs);
        else await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(replica.revoked, [svid.serialHex]);
      assert.equal(replica.ca.revocations.isRevoked(svid.serialHex), true);
      stop.abort();
      await reading;
      const restarted = await world.restart();
      assert.equal(restarted.ca.revocations.isRevoked(svid.serialHex), true);
      assert.deepEqual(restarted.revoked, [], 'at start there is nobody to disconnect');
      await world.ports.database.close();
    });

    test('when revocations cannot be read for too long, nobody is vouched for', async () => {
      const world = await openTestCa(await open());
      const { svid } = await enrolDevice(world, 'plc-1');
      let gone = false;
      const database = {
        ...world.ports.database,
        transaction: ((...args: Parameters<typeof world.ports.database.transaction>) =>
          gone
            ? Promise.reject(coldError())
            : world.ports.database.transaction(...args)) as typeof world.ports.database.transaction,
      };
      const revocations = await openRevocations({ ...world.ports, database });
      gone = true;
      await assert.rejects(revocations.refresh(), coded('CA_REVOCATIONS_STALE'));
      await world.clock.advance(limits.revocationMaxAgeMs);
      assert.equal(revocations.isRevoked(svid.serialHex), false);
      await world.clock.advance(1);
      assert.throws(() => revocations.isRevoked(svid.serialHex), coded('CA_REVOCATIONS_STALE'));
      gone = false;
      await revocations.refresh();
      assert.equal(revocations.isRevoked(svid.serialHex), false);
      await world.ports.database.close();
    });
  });
});

function coldError(): Error {
  return caErrors.error('CA_REVOCATIONS_STALE', 'as when the database is gone');
}
