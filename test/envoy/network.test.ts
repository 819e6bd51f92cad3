// A real Envoy with examples/envoy/network.yaml before a TCP service that speaks first; openssl is the client.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { until } from '../support/until.ts';
import { placed } from './envoy-process.ts';
import { type Client, openPlant, type Plant } from './plant.ts';

const banner = 'SSH-2.0-plc\r\n';

for (const transport of checkTransports) {
  test(`Envoy with the shipped network filter, asking over ${transport}`, async (t) => {
    if (!requires(t, 'envoy', 'curl', 'openssl')) return;
    await using plant = await openPlant();
    const service = await serveBanner();
    t.after(service.close);
    let enforcer = await serveAuthz(plant.ports, () => true, {
      grpc: [plant.enforcerAddress],
      forwardAuthSocket: undefined,
      transport,
    });
    t.after(async () => await enforcer.close(0));
    const upstream = (config: string): string =>
      placed(config, { [`port_value: ${plant.webPort}`]: `port_value: ${service.port}` });
    const envoy = await plant.envoy('network.yaml', upstream);

    await t.test('a granted device reaches the service', async () => {
      const said = await converse(plant, 'gateway-1', 'hello\n', (text) => text.includes('hello'));
      assert.ok(said.includes(banner.trim()) && said.includes('echo hello'), said);
    });

    await t.test('another device gets an alert, and the service hears nothing of it', async () => {
      const before = service.connections();
      assert.match(await converse(plant, 'gateway-2', 'hello\n'), /alert access denied/);
      assert.equal(service.connections(), before);
    });

    await t.test('who waits for the service to speak hears nothing before the decision', async () => {
      const before = service.connections();
      const said = await converse(plant, 'gateway-2', '', () => false, 500);
      assert.ok(!said.includes(banner.trim()), said);
      assert.equal(service.connections(), before);
    });

    await t.test('the decision is in the access log', async () => {
      const [entry] = await until('the access log', async () => {
        const entries = plant.accessLog();
        return Promise.resolve(entries.length > 0 && entries);
      });
      assert.partialDeepStrictEqual(entry, {
        subject: 'gateway-1',
        decision: 'allow',
        rule: 'grant:gateway-connects',
        reason: 'granted',
      });
    });

    await t.test('an enforcer that is gone opens nothing; one that is back does', async () => {
      const before = service.connections();
      await enforcer.close(0);
      assert.match(await converse(plant, 'gateway-1', 'hello\n'), /alert|closed|EOF|unexpected/i);
      assert.equal(service.connections(), before);
      enforcer = await serveAuthz(plant.ports, () => true, {
        grpc: [plant.enforcerAddress],
        forwardAuthSocket: undefined,
        transport,
      });
      await until('the enforcer is asked again', async () =>
        (await converse(plant, 'gateway-1', 'hello\n', (text) => text.includes('hello'))).includes('echo hello'),
      );
      assert.equal(await envoy.stat('ext_authz.plc-ssh.failure_mode_allowed'), 0);
      assert.ok(((await envoy.stat('ext_authz.plc-ssh.error')) ?? 0) > 0);
      await envoy.stop();
    });

    await t.test('a filter that names an interface of HTTP, or none, opens nothing', async () => {
      for (const label of ['edgeward-interface: hmi-web', 'something-else: plc-ssh']) {
        const before = service.connections();
        const other = await plant.envoy('network.yaml', (config) =>
          placed(upstream(config), { 'edgeward-interface: plc-ssh': label }),
        );
        assert.match(await converse(plant, 'gateway-1', 'hello\n'), /alert access denied/);
        assert.equal(service.connections(), before);
        await other.stop();
      }
    });

    await t.test(
      'why upstream_connect_mode is set: without it the service speaks to who is never allowed',
      async () => {
        await plant.envoy('network.yaml', (config) =>
          placed(upstream(config), {
            'upstream_connect_mode: ON_DOWNSTREAM_DATA': '',
            'max_early_data_bytes: 65536': '',
          }),
        );
        const before = service.connections();
        const said = await converse(plant, 'gateway-2', '', (text) => text.includes(banner.trim()));
        assert.ok(said.includes(banner.trim()), said);
        assert.equal(service.connections(), before + 1);
      },
    );
  });
}

async function serveBanner(): Promise<{ port: number; connections: () => number; close: () => void }> {
  let count = 0;
  const server = createServer((socket) => {
    count++;
    socket.on('error', () => undefined);
    socket.write(banner);
    socket.on('data', (data) => socket.write(`echo ${data.toString()}`));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, connections: () => count, close: () => server.close() };
}

/** Says `text` when TLS is there; resolves with all that openssl wrote, when `enough` of it or when it ended. */
async function converse(
  { folder, port }: Plant,
  client: Client,
  text: string,
  enough: (said: string) => boolean = () => false,
  patienceMs = 20_000,
): Promise<string> {
  const chain = join(folder, `${client}.pem`);
  const key = join(folder, `${client}.key`);
  const identity = ['-cert', chain, '-cert_chain', chain, '-key', key];
  const openssl = spawn('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, ...identity]);
  openssl.stdin.on('error', () => undefined);
  const ended = once(openssl, 'close');
  let said = '';
  const finished = new Promise<void>((resolve) => {
    const hear = (data: Buffer): void => {
      said += data.toString();
      if (enough(said)) resolve();
    };
    openssl.stdout.on('data', hear);
    openssl.stderr.on('data', hear);
    setTimeout(resolve, patienceMs).unref();
  });
  if (text !== '') openssl.stdin.write(text);
  await Promise.race([finished, ended]);
  openssl.kill('SIGKILL');
  await ended;
  return said;
}
