// Whether the control plane is still reached under new packet rules: a new connection to it, through the kernel.
import { connect } from 'node:net';
import type { ControlEndpoint } from '../../enforcer/firewall/index.ts';

/** True as soon as one endpoint accepts a TCP connection; false when none did before the signal. */
export async function reachesControl(endpoints: readonly ControlEndpoint[], signal: AbortSignal): Promise<boolean> {
  const decided = new AbortController();
  const either = AbortSignal.any([signal, decided.signal]);
  const attempts = endpoints.filter(({ transport }) => transport === 'tcp').map((endpoint) => opens(endpoint, either));
  const reached = await Promise.any(attempts).catch(() => false);
  decided.abort();
  return reached;
}

function opens({ address, port }: ControlEndpoint, signal: AbortSignal): Promise<true> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => reject(error));
  });
}
