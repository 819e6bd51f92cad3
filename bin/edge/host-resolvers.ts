// The resolvers this host is set up with: resolv.conf(5), and behind a resolver on this host itself the ones that it asks.
import { readFile } from 'node:fs/promises';
import { isPlainAddress } from './config.ts';

const configured = '/etc/resolv.conf';
/** Where systemd-resolved writes the resolvers behind its own (systemd-resolved.service(8)). */
const behindStub = '/run/systemd/resolve/resolv.conf';

/** Text of a file; undefined when it cannot be read. */
export type ReadText = (path: string) => Promise<string | undefined>;

const readText: ReadText = async (path) => await readFile(path, 'utf8').catch(() => undefined);

/** Addresses that a rule can name, in order; empty when there are none. Never rejects. */
export async function hostResolvers(read: ReadText = readText): Promise<string[]> {
  const named = nameservers(await read(configured));
  const asked = named.some(isLoopback) ? [...named, ...nameservers(await read(behindStub))] : named;
  return [...new Set(asked.filter((address) => !isLoopback(address)))];
}

/** Without zones (`fe80::1%eth0`) and IPv4-mapped addresses, which a rule cannot compare. */
function nameservers(text: string | undefined): string[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const [, address = ''] = /^nameserver[ \t]+(\S+)/.exec(line) ?? [];
    return isPlainAddress(address) ? [address] : [];
  });
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
