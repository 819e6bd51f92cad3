// Addresses as policy and inventory know them.

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * A dual-stack socket writes IPv4 as `::ffff:192.0.2.1`; it is the same peer as 192.0.2.1, and must not become another
 * one by the way it is written. Empty and 0 where the socket is already gone.
 */
export function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const text = address ?? '';
  const mapped = text.toLowerCase().startsWith('::ffff:') && text.includes('.');
  return { address: mapped ? text.slice('::ffff:'.length) : text, port: port ?? 0 };
}
