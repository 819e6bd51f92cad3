// Asks the resolvers of the configuration for the addresses of a name, with the time they may be believed (RFC 1035 section
// 3.2.1). Straight to them and not through nsswitch.conf(5): its answers carry no such time, and only these are reachable.
import { Resolver } from 'node:dns/promises';
import type { Family } from '../../enforcer/firewall/index.ts';

export interface Answer {
  readonly address: string;
  readonly ttlSeconds: number;
}

/** Rejects when no resolver answers, and when the name or the address type does not exist. */
export type AskName = (name: string, family: Family, signal: AbortSignal) => Promise<readonly Answer[]>;

/** For each server and try; the second try waits longer. */
const timeoutMs = 2_000;
const tries = 2;

export function askResolvers(servers: readonly string[]): AskName {
  return async (name, family, signal) => {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: timeoutMs, tries });
    resolver.setServers(servers.map((server) => (server.includes(':') ? `[${server}]` : server)));
    // Otherwise a resolver that is not there would hold up the end of the process.
    const cancel = (): void => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const records =
        family === 4 ? await resolver.resolve4(name, { ttl: true }) : await resolver.resolve6(name, { ttl: true });
      return records.map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}
