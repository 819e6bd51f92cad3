// Connects to the server that a proxy protects, from this host's own address. The rules that divert to the proxy look at
// packets from outside only, so that this connection is not diverted again (modbus-proxy.ts guards against it anyway).
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import type { Endpoint } from './endpoint.ts';
import { proxyErrors } from './errors.ts';

/** Rejects with PROXY_UPSTREAM_UNREACHABLE. */
export async function connectDirectly(destination: Endpoint, clock: Clock, timeoutMs: number): Promise<Socket> {
  const socket = connect({ host: destination.address, port: destination.port, noDelay: true });
  const settled = new AbortController();
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const late = clock.sleep(timeoutMs, settled.signal).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  // Only one of the two is listened to in the end.
  connected.catch(() => undefined);
  late.catch(() => undefined);
  try {
    await Promise.race([connected, late]);
    return socket;
  } catch (cause) {
    socket.destroy();
    const why = cause instanceof Error ? cause.message : 'unknown';
    throw proxyErrors.error(
      'PROXY_UPSTREAM_UNREACHABLE',
      `${destination.address} port ${destination.port} does not answer: ${why}`,
      { cause },
    );
  } finally {
    settled.abort();
  }
}
