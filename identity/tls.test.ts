import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { connect, createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { exportPkcs8Pem } from './keys.ts';
import { verifyChain } from './path.ts';
import { certificatesToPem } from './pem.ts';
import { sampleAuthority } from './sample-authority.ts';

// TLS checks validity against the real clock, so this authority lives now.
const authority = sampleAuthority('plant.example', Date.now());

function credentials(spiffeId: string, from = authority): SecureContextOptions {
  const { der, keys } = from.issueLeaf(spiffeId);
  return {
    key: exportPkcs8Pem(keys.privateKey),
    cert: certificatesToPem([der, from.intermediate.certificate.raw]),
    ca: certificatesToPem([authority.root.certificate.raw]),
    minVersion: 'TLSv1.3',
  };
}

/** What each side sees of the other after a handshake over loopback. */
async function handshake(
  client: SecureContextOptions,
): Promise<{ server: TLSSocket; client: TLSSocket; end: () => void }> {
  const options = {
    ...credentials('spiffe://plant.example/control/stream'),
    requestCert: true,
    rejectUnauthorized: true,
  };
  const listener = createServer(options).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ ...client, port, host: '127.0.0.1', checkServerIdentity: () => undefined });
  const end = (): void => {
    socket.destroy();
    listener.close();
  };
  try {
    const refused = Promise.race([
      once(listener, 'tlsClientError').then(([error]) => Promise.reject(error as Error)),
      once(socket, 'error').then(([error]) => Promise.reject(error as Error)),
    ]);
    const accepted = Promise.all([once(listener, 'secureConnection'), once(socket, 'secureConnect')]);
    const [[server]] = (await Promise.race([accepted, refused])) as [[TLSSocket], unknown];
    return { server, client: socket, end };
  } catch (error) {
    end();
    throw error;
  }
}

describe('TLS 1.3 with X.509-SVIDs', () => {
  test('both sides accept the chain, and our validator names both', async () => {
    const { server, client, end } = await handshake(credentials('spiffe://plant.example/device/plc-1'));
    try {
      const name = (socket: TLSSocket): string => {
        const peer = socket.getPeerCertificate(true);
        // A server adds what it knows: Node 24.21 forgets what the client sent (nodejs/node#65579).
        const above = [peer.issuerCertificate?.raw ?? authority.intermediate.certificate.raw];
        const options = { now: Date.now(), trustDomain: 'plant.example' };
        return verifyChain(peer.raw, above, [authority.root.certificate.raw], options).id.uri;
      };
      assert.equal(name(server), 'spiffe://plant.example/device/plc-1');
      assert.equal(name(client), 'spiffe://plant.example/control/stream');
    } finally {
      end();
    }
  });

  test('a client of another authority is refused by the handshake already', async () => {
    const stranger = sampleAuthority('plant.example', Date.now());
    await assert.rejects(handshake(credentials('spiffe://plant.example/device/plc-1', stranger)));
  });
});
