// Where the control plane is, as addresses. What was resolved last is known at once, without any network; a name is
// resolved behind that, again and again, and whoever plans and dials hears what became of it. Without resolvers in the
// configuration those of the host are asked, but only while the edge looks for its control plane: while no address is
// known, or none of them has answered for a while.
import { isIP } from 'node:net';
import { join } from 'node:path';

import { z } from 'zod';
import type { ControlEndpoint } from '../../enforcer/firewall/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { parseAddress } from '../../runtime/grpc.ts';
import { backoff, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import { type EdgeConfig, isPlainAddress } from './config.ts';
import { hostResolvers } from './host-resolvers.ts';
import { resolveName } from './resolve-name.ts';

export const controlAddressErrors = errorTable({
  EDGE_CONTROL_UNRESOLVED: {
    status: 'UNAVAILABLE',
    remedy: 'Name the control plane by address in edge.yaml (control.address), or make its name resolve on this host',
  },
});

/** Addresses kept of one name. */
const maxAddresses = 16;
const maxFileBytes = 4_096;
/** How often a name is resolved again, and how fast after a failure, milliseconds. */
const refreshMs = 60_000;
const retry = { firstMs: 1_000, maxMs: 60_000 };
/** Without an answer of the control plane for this long its addresses may be old ones, milliseconds. */
const lookAgainMs = 300_000;

export interface ControlAddresses {
  /** Empty until a name has resolved for the first time. */
  endpoints(): readonly ControlEndpoint[];
  /** Resolvers that have to be reached now. */
  resolvers(): readonly string[];
  /**
   * What to dial: one known address after the other with every call; throws EDGE_CONTROL_UNRESOLVED while none is known.
   * Through an HTTP proxy the configured one: the proxy resolves names by itself, and may know only names.
   */
  dialer(): () => string;
  /** Resolves until the signal aborts. `changed` when endpoints or resolvers are others than before. */
  follow(reached: () => boolean, changed: () => void): Task;
}

export interface ControlAddressParts {
  readonly config: Pick<EdgeConfig, 'state' | 'control' | 'firewall'>;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** All addresses of a name, the preferred first. Rejects when it does not resolve. */
  readonly resolve?: (name: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly hostResolvers?: () => Promise<readonly string[]>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Asks nobody: reads the file of what was known last. */
export async function openControlAddresses(parts: ControlAddressParts): Promise<ControlAddresses> {
  const { config, clock, log } = parts;
  const { host, port } = placeOf(config.control.address);
  const configured = config.firewall.dns;
  if (isIP(host) !== 0) return fixed(config, [endpoint(host, port)]);
  if (config.firewall.mode === 'off') return fixed(config, []);
  const resolve = parts.resolve ?? resolveName;
  const toAsk = async (): Promise<readonly string[]> =>
    configured.length > 0 ? configured : await (parts.hostResolvers ?? hostResolvers)();
  const path = join(config.state, 'control-addresses.json');
  let known = await readKnown(parts, path, host);
  let resolvers = known.length > 0 ? configured : await toAsk();
  let failed = 0;
  const env = parts.env ?? process.env;
  const throughProxy = ['grpc_proxy', 'https_proxy', 'http_proxy'].some((name) => (env[name] ?? '') !== '');

  function unresolved(cause?: unknown): Error {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    return controlAddressErrors.error('EDGE_CONTROL_UNRESOLVED', `${host} does not resolve${why}`, { cause });
  }

  /** Whether other addresses are known than before. */
  async function resolveAgain(signal: AbortSignal): Promise<boolean> {
    try {
      const addresses = [...new Set((await resolve(host, signal)).filter(isPlainAddress))].slice(0, maxAddresses);
      if (addresses.length === 0) throw new Error('it has no address that a rule can name');
      failed = 0;
      if (sameSet(addresses, known)) return false;
      known = addresses;
    } catch (cause) {
      if (failed === 0 && !signal.aborted)
        log.warn({ err: unresolved(cause), known }, 'the control plane is looked for');
      failed += 1;
      return false;
    }
    log.info({ name: host, addresses: known }, 'the control plane is at these addresses');
    await writeDurably(parts.fs, path, Buffer.from(JSON.stringify({ name: host, addresses: known }))).catch(
      (error: unknown) => log.error({ err: error, path }, 'they could not be kept for a start without network'),
    );
    return true;
  }

  return {
    endpoints: () => known.map((address) => endpoint(address, port)),
    resolvers: () => resolvers,
    dialer: () => {
      if (throughProxy) return () => config.control.address;
      let next = 0;
      return () => {
        const address = known[next++ % known.length];
        if (address === undefined) throw unresolved();
        return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
      };
    },
    follow: (reached, changed) => async (signal) => {
      let reachedAt = clock.monotonic();
      while (!signal.aborted) {
        if (reached()) reachedAt = clock.monotonic();
        const looking = known.length === 0 || clock.monotonic() - reachedAt >= lookAgainMs;
        const wanted = looking ? await toAsk() : configured;
        const others = !sameSet(wanted, resolvers);
        resolvers = wanted;
        if (others) changed();
        if ((looking || configured.length > 0) && (await resolveAgain(signal))) changed();
        await clock
          .sleep(failed === 0 ? refreshMs : backoff(failed - 1, retry, parts.random), signal)
          .catch(() => undefined);
      }
    },
  };
}

/** Nothing to resolve: an address, or nobody whose packets are filtered. */
function fixed(config: ControlAddressParts['config'], endpoints: readonly ControlEndpoint[]): ControlAddresses {
  return {
    endpoints: () => endpoints,
    resolvers: () => config.firewall.dns,
    dialer: () => () => config.control.address,
    follow: () => () => Promise.resolve(),
  };
}

function placeOf(text: string): { host: string; port: number } {
  const place = parseAddress(text);
  return 'host' in place ? place : { host: '', port: 0 };
}

const endpoint = (address: string, port: number): ControlEndpoint => ({ address, port, transport: 'tcp' });

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((entry) => b.includes(entry));

const fileSchema = z.strictObject({
  name: z.string(),
  addresses: z.array(z.string().refine(isPlainAddress)).min(1).max(maxAddresses),
});

/** What is there and is of this name; a file that cannot be read counts as none. */
async function readKnown({ fs, log }: ControlAddressParts, path: string, name: string): Promise<readonly string[]> {
  try {
    if ((await fs.stat(path)) === undefined) return [];
    const kept = fileSchema.parse(JSON.parse((await fs.readFile(path, maxFileBytes)).toString('utf8')));
    return kept.name === name ? kept.addresses : [];
  } catch (error) {
    log.warn({ err: error, path }, 'the addresses of the control plane cannot be read and count as unknown');
    return [];
  }
}
