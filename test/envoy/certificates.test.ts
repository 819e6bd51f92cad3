// What certificate.yaml and roots.yaml promise: files that are moved to their place count without a restart.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { serveAuthz } from '../../enforcer/authz/index.ts';
import { requires } from '../support/capabilities.ts';
import { createTestAuthority } from '../support/pki.ts';
import { until } from '../support/until.ts';
import { openPlant, type Plant } from './plant.ts';

test('a renewed certificate and new roots count without a restart', async (t) => {
  if (!requires(t, 'envoy', 'curl')) return;
  await using plant = await openPlant();
  const { ask, authority, ports, enforcerAddress } = plant;
  const enforcer = await serveAuthz(ports, () => true, { grpc: [enforcerAddress], forwardAuthSocket: undefined });
  t.after(async () => await enforcer.close(0));
  const envoy = await plant.envoy('http.yaml');
  const before = await shownBy(plant);

  const renewed = authority.issue('spiffe://plant.example/device/hmi-1/workload/web');
  move(plant, 'key.pem', renewed.keyPem);
  move(plant, 'chain.pem', renewed.chainPem);
  await until('the new certificate is shown', async () => (await shownBy(plant)) !== before);
  assert.equal((await ask('/status')).status, 200);

  move(plant, 'roots.pem', createTestAuthority('plant.example').rootPem);
  await until('the old roots are gone', async () => (await ask('/status')).status === 0);
  move(plant, 'roots.pem', authority.rootPem);
  await until('they are back', async () => (await ask('/status')).status === 200);
  assert.equal(envoy.process.exitCode, null);
});

function move({ folder }: Plant, name: string, text: string): void {
  const path = join(folder, 'tls', name);
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Serial number of the certificate that Envoy shows. */
async function shownBy({ folder, port }: Plant): Promise<string> {
  const identity = {
    cert: readFileSync(join(folder, 'gateway-1.pem')),
    key: readFileSync(join(folder, 'gateway-1.key')),
  };
  const socket = connect({ host: '127.0.0.1', port, ...identity, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}
