// `address:port` of a client, as proxies write it.

/** Splits `192.0.2.1:443` or `[2001:db8::1]:443`; an unknown connection gives an empty address and port 0. */
export function splitConnection(connection: string): { address: string; port: number } {
  const match = /^\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(connection);
  return match === null ? { address: '', port: 0 } : { address: match[1] ?? '', port: Number(match[2]) };
}

/** What stands before the last colon: who floods, whichever of its ports it comes from. */
export function addressOf(connection: string): string {
  const end = connection.lastIndexOf(':');
  return end === -1 ? connection : connection.slice(0, end);
}
