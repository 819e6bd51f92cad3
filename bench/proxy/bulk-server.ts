// What bulk is fetched from: as many bytes as a header asks for, over HTTP and over TLS with a certificate made for this run.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import { createTestAuthority } from '../../test/support/pki.ts';
import { ports, trustDomain } from './policy.ts';

const CHUNK = Buffer.alloc(256 * 1_024, 'x');

function serve(request: IncomingMessage, response: ServerResponse): void {
  let left = Number(request.headers['x-bytes'] ?? 0);
  response.writeHead(200, { 'content-length': left, 'content-type': 'application/octet-stream' });
  const more = (): void => {
    while (left > 0) {
      const size = Math.min(left, CHUNK.length);
      left -= size;
      if (!response.write(size === CHUNK.length ? CHUNK : CHUNK.subarray(0, size))) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}

export async function listenForBulk(): Promise<void> {
  const own = createTestAuthority(trustDomain).issue(`spiffe://${trustDomain}/device/plc`);
  const secure = createTlsServer({ key: own.keyPem, cert: own.chainPem }, serve);
  secure.on('tlsClientError', () => undefined);
  await Promise.all([
    once(createServer(serve).listen(ports.http, '0.0.0.0'), 'listening'),
    once(secure.listen(ports.tls, '0.0.0.0'), 'listening'),
  ]);
}
