// The whole story on real programs, without root: enrol, attest, decide, remember, notice, respond, recover. Once on
// SQLite and once on PostgreSQL.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { requires } from '../support/capabilities.ts';
import { forEachDatabase } from '../support/databases.ts';
import { startModbusServer } from '../proxy/modbus-server.ts';
import { rawClient, readRegisters, writeRegister } from '../proxy/wire.ts';
import { type Answer as ProxyAnswer, askByCurl, checkByEnvoy } from './proxies.ts';
import { addressOf, createSite, type EdgeName, edgeNames, type Event, type Site } from './site.ts';
import { until } from '../support/until.ts';

/** gateway-1 views the panel only while it is attested. */
const attestedOnly = (text: string): string =>
  text.replace('    operations: [view]\n', '    operations: [view]\n    conditions: { attestation: [software] }\n');

const view = { interface: 'hmi-web', path: '/status' };

forEachDatabase((name, _open, freshUrl) => {
  describe(`the closed loop on ${name}`, () => {
    test('from the join line to the release', { timeout: 120_000 }, async (t) => {
      if (!requires(t, 'curl')) return;
      await using plc = await startModbusServer();
      await using site = await createSite({
        ...(name === 'SQLite' ? {} : { database: await freshUrl() }),
        policy: { 'grants/cell.yaml': attestedOnly },
        plc: `127.0.0.1:${plc.port}`,
        challengeSeconds: 2,
      });
      /** Each step needs the ones before it, so the first failure ends the story. */
      const step = async (what: string, work: () => Promise<void>): Promise<void> => {
        let failure: unknown;
        await t.test(what, async () => {
          await work().catch((error: unknown) => {
            failure = error;
            throw error;
          });
        });
        if (failure === undefined) return;
        for (const program of ['control', ...edgeNames])
          t.diagnostic(`${program}: ${site.outputOf(program).slice(-2_000)}`);
        throw failure;
      };

      await step('join lines become identities, attested ones', () => enrolled(site));
      await step('Envoy and nginx get decisions, and nobody believes the client', () => decisions(site));
      await step('decisions are in the log of the cloud', () => remembered(site));
      await step('a changed executable makes the device suspect, and its peers decide by it', () => suspected(site));
      await step('a refused write to the PLC is found and contained', () => contained(site, plc.register));
      await step('there is no way back but the path of the software class', () => released(site));
      await step('audit verify: the log is whole, and a changed export is found', () => verified(site));
    });
  });
});

async function enrolled(site: Site): Promise<void> {
  const { joinLine } = await site.admin<{ joinLine: string }>('token', 'create', 'hmi-1');
  const made = await site.command(['enroll', '--state', site.paths.state('hmi-1')], `${joinLine}\n`);
  assert.equal(made['spiffeId'], 'spiffe://plant.example/device/hmi-1');
  await Promise.all([site.enroll('gateway-1'), site.enroll('plc-1')]);
  assert.equal(await site.stateOf('plc-1'), 'enrolled');
  await Promise.all(edgeNames.map(site.startEdge));
  await until('all edges are trusted and enforce version 1', async () => {
    const states = await Promise.all(edgeNames.map(site.stateOf));
    const { edges } = await site.operators.getPolicyStatus({});
    return states.every((state) => state === 'trusted') && edges.every((edge) => edge.enforcedVersion === 1n);
  });
}

/** What both kinds of proxy are told by an edge; they have to agree. */
async function ask(site: Site, edge: EdgeName, question: Parameters<typeof checkByEnvoy>[1]): Promise<ProxyAnswer> {
  const envoy = await checkByEnvoy(site.paths.grpcSocket(edge), question);
  const nginx = await askByCurl(site.paths.forwardAuthSocket(edge), question);
  assert.deepEqual(nginx, envoy, 'Envoy and nginx are told different things');
  return envoy;
}

async function decisions(site: Site): Promise<void> {
  const gateway = site.paths.chain('gateway-1');
  await until(
    'the states reach the panel',
    async () => (await checkByEnvoy(site.paths.grpcSocket('hmi-1'), { ...view, chain: gateway })).allow,
  );
  const granted = { allow: true, status: 200, subject: 'gateway-1', rule: 'grant:gateway-views-hmi' };
  assert.deepEqual(await ask(site, 'hmi-1', { ...view, chain: gateway }), granted);
  const admin = await ask(site, 'hmi-1', { ...view, path: '/admin/users', chain: gateway });
  assert.deepEqual(admin, { allow: false, status: 403, subject: 'gateway-1', rule: 'deny:nobody-administers-hmi' });
  const other = await ask(site, 'hmi-1', { ...view, chain: site.paths.chain('plc-1') });
  assert.deepEqual({ ...other, rule: '' }, { allow: false, status: 403, subject: 'plc-1', rule: '' });
  const forged = {
    'x-edgeward-subject': 'gateway-1',
    'x-edgeward-decision': 'allow',
    'x-edgeward-rule': 'grant:gateway-views-hmi',
  };
  const nobody = await ask(site, 'hmi-1', { ...view, headers: forged });
  assert.deepEqual(
    nobody,
    { allow: false, status: 401, subject: '', rule: '' },
    'headers of the client are overwritten',
  );
}

async function remembered(site: Site): Promise<void> {
  const query = async (): Promise<readonly Event[]> =>
    (await site.admin<{ events: Event[] }>('audit', 'query', '--kind', 'authz', '--device', 'hmi-1')).events;
  const events = await until('the refusal is in the log', async () => {
    const found = await query();
    return found.some(({ data }) => data['path'] === '/admin/users') && found;
  });
  const refusal = events.find(({ data }) => data['path'] === '/admin/users');
  assert.equal(refusal?.activity, 'deny');
  assert.equal(refusal?.data['subject'], 'gateway-1');
  assert.equal(refusal?.data['rule'], 'deny:nobody-administers-hmi');
  assert.match(String(refusal?.data['place']), /^grants\/cell\.yaml:\d+/);
  const allowed = events.find(({ data }) => data['decision'] === 'allow');
  assert.equal(allowed?.data['rule'], 'grant:gateway-views-hmi');
}

async function suspected(site: Site): Promise<void> {
  const asGateway = async (): Promise<boolean> =>
    (await checkByEnvoy(site.paths.grpcSocket('hmi-1'), { ...view, chain: site.paths.chain('gateway-1') })).allow;
  const release = ['device', 'release', 'gateway-1', '--identity', site.paths.admin];
  const program = site.paths.program('gateway-1');
  const original = readFileSync(program);
  writeFileSync(program, 'another program\n');
  await until('gateway-1 is suspect', async () => (await site.stateOf('gateway-1')) === 'suspect');
  await until('the panel refuses it', async () => !(await asGateway()));
  const { transitions } = await site.operators.getDeviceTimeline({ deviceId: 'gateway-1' });
  const last = transitions.find(({ to }) => to === 'suspect');
  assert.match(last?.cause ?? '', new RegExp(`${program} changed`));
  const early = await site.tryCommand<{ error?: { code: string } }>([...release, '--reason', 'in a hurry']);
  assert.equal(early.document.error?.code, 'RESPONSE_NOT_ATTESTED');
  writeFileSync(program, original);
  // Suspicion does not end by itself: a person releases, once an affirming appraisal has come.
  await until(
    'released',
    async () => (await site.tryCommand([...release, '--reason', 'the old program is back'])).code === 0,
  );
  await until('the panel serves it again', asGateway);
}

/** A holding register through the proxy of plc-1, from the address of a device; undefined when it is not answered. */
async function readThrough(site: Site, device: EdgeName): Promise<number | undefined> {
  await using client = await rawClient(site.addresses.proxyPort, '127.0.0.1', addressOf[device]);
  await client.send(readRegisters(1, 3));
  const answer = await client.answer();
  return answer?.functionCode === 3 ? answer.data.readUInt16BE(1) : undefined;
}

async function contained(site: Site, register: (address: number) => Promise<number>): Promise<void> {
  assert.equal(await readThrough(site, 'gateway-1'), 7);
  assert.equal(await readThrough(site, 'hmi-1'), 7);
  await using attacker = await rawClient(site.addresses.proxyPort, '127.0.0.1', addressOf['gateway-1']);
  await attacker.send(writeRegister(2, 3, 666));
  assert.equal((await attacker.answer())?.functionCode, 0x86, 'a write is answered with an exception');
  await until('gateway-1 is quarantined', async () => (await site.stateOf('gateway-1')) === 'quarantined');
  await until('its connection is closed by the proxy', async () => attacker.isClosed());
  await until(
    'nor does the panel serve it',
    async () => !(await ask(site, 'hmi-1', { ...view, chain: site.paths.chain('gateway-1') })).allow,
  );
  assert.equal(await readThrough(site, 'gateway-1'), undefined);
  assert.equal(await readThrough(site, 'hmi-1'), 7, 'reads of everyone else go on');
  assert.equal(await register(3), 7, 'the write never reached the PLC');
  const { findings } = await site.operators.listFindings({ state: 'open' });
  const finding = findings.find((entry) => entry.title === 'Refused write to a PLC');
  assert.equal(finding?.deviceId, 'gateway-1');
  const evidence = (await site.events()).filter(({ index }) => finding?.evidence.includes(BigInt(index)));
  assert.deepEqual(
    evidence.map(({ device, data }) => [device, data['subject'], data['function_code']]),
    [['plc-1', 'gateway-1', 6]],
  );
  const { responses } = await site.operators.listResponses({});
  const response = responses.find(({ findingId }) => findingId === finding?.id);
  assert.deepEqual([response?.action, response?.deviceId, response?.state], ['contain', 'gateway-1', 'done']);
  const { transitions } = await site.operators.getDeviceTimeline({ deviceId: 'gateway-1' });
  assert.match(transitions.find(({ to }) => to === 'quarantined')?.by ?? '', /^playbook Quarantine a device/);
}

async function released(site: Site): Promise<void> {
  const release = async () =>
    await site.tryCommand<{ error?: { code: string } }>([
      'device',
      'release',
      'gateway-1',
      '--reason',
      'checked',
      '--identity',
      site.paths.admin,
    ]);
  assert.equal((await release()).document.error?.code, 'RESPONSE_REIMAGE_NEEDED');
  const token = await site.tryCommand<{ error?: { code: string } }>([
    'token',
    'create',
    'gateway-1',
    '--identity',
    site.paths.admin,
  ]);
  assert.equal(token.code, 1, 'a contained device gets no ordinary token');
  await site.stop('gateway-1', 'SIGKILL');
  rmSync(site.paths.state('gateway-1'), { recursive: true });
  const { joinLine } = await site.admin<{ joinLine: string }>('token', 'create', 'gateway-1', '--reimage');
  await site.command(['enroll', '--state', site.paths.state('gateway-1')], joinLine);
  assert.equal((await release()).document.error?.code, 'RESPONSE_NOT_ATTESTED');
  await site.startEdge('gateway-1');
  await until('attested again', async () => {
    const { devices } = await site.operators.listDevices({ deviceId: 'gateway-1' });
    return devices[0]?.state === 'recovering' && devices[0].attestationClass === 'software';
  });
  assert.equal(await readThrough(site, 'gateway-1'), undefined, 'a recovering device reads nothing');
  assert.equal((await release()).code, 0);
  const { devices } = await site.operators.listDevices({ deviceId: 'gateway-1' });
  assert.deepEqual([devices[0]?.state, devices[0]?.reduced], ['trusted', true]);
  await until('it reads the PLC again', async () => (await readThrough(site, 'gateway-1')) === 7);
  const { transitions } = await site.operators.getDeviceTimeline({ deviceId: 'gateway-1' });
  const path = transitions.toSorted((a, b) => Number(a.atMs - b.atMs)).map(({ to }) => to);
  assert.deepEqual(path, ['enrolled', 'trusted', 'suspect', 'trusted', 'quarantined', 'recovering', 'trusted']);
}

async function verified(site: Site): Promise<void> {
  const { scratch, admin } = site.paths;
  const checkpoint = join(scratch, 'held.checkpoint');
  const file = join(scratch, 'log.jsonl');
  const { verifierKey } = await site.admin<{ verifierKey: string }>('audit', 'checkpoint', '--out', checkpoint);
  await site.admin('audit', 'export', '--out', file);
  const verify = async (exported: string) =>
    await site.tryCommand<{ ok: boolean; covered: number; findings: { what: string; sequence?: number }[] }>([
      'audit',
      'verify',
      exported,
      '--checkpoint',
      checkpoint,
      '--roots',
      join(admin, 'roots.pem'),
      '--log-key',
      verifierKey,
    ]);
  const whole = await verify(file);
  assert.deepEqual([whole.code, whole.document.ok, whole.document.findings], [0, true, []]);
  assert.ok(whole.document.covered > 20, 'the held checkpoint covers the story');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const entries = lines.map(
    (line) => JSON.parse(line) as { entry?: { deviceId: string; sequence: string; payload: string } },
  );
  const target = entries.findIndex(({ entry }) => entry?.deviceId === 'plc-1' && Number(entry.sequence) > 1);
  const { entry } = entries[target] ?? {};
  assert.ok(entry !== undefined);
  const payload = Buffer.from(entry.payload, 'base64');
  payload[payload.length - 3] = (payload[payload.length - 3] ?? 0) ^ 1;
  entry.payload = payload.toString('base64');
  const tampered = join(scratch, 'tampered.jsonl');
  writeFileSync(tampered, `${entries.map((line) => JSON.stringify(line)).join('\n')}\n`);
  const found = await verify(tampered);
  assert.deepEqual([found.code, found.document.ok], [1, false]);
  assert.ok(
    found.document.findings.some(({ sequence }) => sequence === Number(entry.sequence)),
    'the sequence is named',
  );
}
