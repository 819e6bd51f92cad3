// Where transparent listeners are, one for each family that this host has.
import { networkInterfaces } from 'node:os';

/** Without IPv6 nothing of it arrives; should it come later, the packet rules drop what no listener takes. */
export function loopbacks(): readonly string[] {
  const own = Object.values(networkInterfaces()).flat();
  return own.some((entry) => entry?.address === '::1') ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
}
