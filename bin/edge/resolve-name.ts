// A name as this host resolves it: /etc/hosts, DNS and whatever else nsswitch.conf(5) says. By getent(1) and not in this
// process, where nothing ends a question that no resolver answers: it would hold up the end of the process for as long.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** A resolver that is not there takes two tries of five seconds each, per server (resolv.conf(5)). */
const timeoutMs = 30_000;
const run = promisify(execFile);

/** Addresses of a name, the preferred first (RFC 6724). Rejects when it has none, and when the signal aborts. */
export async function resolveName(name: string, signal: AbortSignal): Promise<string[]> {
  const { stdout } = await run('getent', ['ahosts', '--', name], { signal, timeout: timeoutMs }).catch(
    (error: Error & { code?: unknown }) => {
      throw new Error(error.code === 2 ? 'no resolver knows it' : error.message, { cause: error });
    },
  );
  const addresses = stdout.split('\n').map((line) => line.split(/\s/, 1)[0] ?? '');
  return [...new Set(addresses.filter((address) => address !== ''))];
}
