// Streams that live by an identity, on real programs: a master that knows no TLS reads a PLC that knows none, through the edges of
// both hosts; whose stream it is, is proven by what enrolment gave, and revocation ends it.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { rawClient, readRegisters, recordingServer } from '../proxy/wire.ts';
import { freePorts } from '../support/free-ports.ts';
import { until } from '../support/until.ts';
import { addressOf, createSite } from './site.ts';

const bySvid = `grants:
  - id: gateway-reads-by-svid
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: svid
`;

/** Carries bytes to a port of 127.0.0.1 as NAT would: the address that they come from is nobody's. */
async function relay(t: TestContext, from: { host: string; port: number }, toPort: number): Promise<void> {
  const server = createServer((near) => {
    const far = connect(toPort, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(from, resolve));
  t.after(() => server.close());
}

test(
  'an enrolled gateway reads by its SVID through egress and proxy, and its revocation cuts the stream on both sides',
  { timeout: 90_000 },
  async (t) => {
    await using plc = await recordingServer();
    const [port = 0, egressPort = 0] = await freePorts(2);
    await using site = await createSite({
      plc: `127.0.0.1:${plc.port}`,
      policy: {
        'grants/by-svid.yaml': () => bySvid,
        'interfaces/plc.yaml': (text) => text.replace('port: 502', `port: ${port}`),
      },
    });
    appendFileSync(
      site.paths.edgeConfig('gateway-1'),
      `egress: [{interface: plc-modbus, device: plc-1, listen: ${egressPort}}]\n`,
    );
    await relay(t, { host: addressOf['plc-1'], port }, site.addresses.proxyPort);
    await Promise.all([site.enroll('gateway-1'), site.enroll('plc-1')]);
    await Promise.all([site.startEdge('gateway-1'), site.startEdge('plc-1')]);

    const ask = async (client: Awaited<ReturnType<typeof rawClient>>): Promise<number | undefined> => {
      await client.send(readRegisters(1, 5));
      return (await client.answer())?.functionCode;
    };
    await until('the gateway is known and served', async () => {
      await using client = await rawClient(egressPort);
      return (await ask(client)) === 3;
    });
    await using master = await rawClient(egressPort);
    assert.equal(await ask(master), 3);
    await using plain = await rawClient(site.addresses.proxyPort);
    assert.equal(await ask(plain), 0x83, 'the same in plain');
    await until('nobody else is connected', async () => await Promise.resolve(plc.connections().length === 1));

    await site.operators.revokeDevice({ deviceId: 'gateway-1', reason: 'stolen' });
    await master.closed;
    await until('the PLC’s side is closed', async () => await Promise.resolve(plc.connections().length === 0));
    await using again = await rawClient(egressPort);
    assert.notEqual(await ask(again), 3);

    const events = await until('it is in the log', async () => {
      const found = await site.events({ device: 'plc-1', kind: 'modbus' });
      return found.some(({ activity }) => activity === 'refuse') && found;
    });
    const allowed = events.find(({ activity }) => activity === 'allow')?.data;
    assert.deepEqual(
      [allowed?.['subject'], allowed?.['rule'], allowed?.['address_subject'], allowed?.['source_ip']],
      ['gateway-1', 'grant:gateway-reads-by-svid', '', '127.0.0.1'],
    );
    const refused = events.find(({ activity }) => activity === 'refuse')?.data;
    assert.deepEqual([refused?.['reason'], refused?.['code']], ['unproven', 'IDENTITY_REVOKED']);
  },
);
