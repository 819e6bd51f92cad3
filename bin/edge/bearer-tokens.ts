// JWT-SVIDs that clients present as bearer tokens: the bundle file with the authorities that may sign them, read again as it
// changes, and the tokens that were verified a moment ago, so that a request with one of them waits for nothing.
import {
  authorityOf,
  type JwtBundle,
  parseJwtBundle,
  type VerifiedJwtSvid,
  verifyJwtSvid,
} from '../../identity/index.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { errorTable } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import type { EdgeConfig } from './config.ts';

export const bearerErrors = errorTable({
  BEARER_NO_AUTHORITIES: {
    status: 'UNAUTHENTICATED',
    remedy: 'Put the current SPIFFE trust bundle document where authz.jwtSvid.bundle says',
  },
  BEARER_BUNDLE_OLDER: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Put the latest SPIFFE trust bundle document there; its spiffe_sequence must not be lower than before',
  },
  BEARER_KEYS_CHANGED: { status: 'UNAUTHENTICATED', remedy: 'Try again' },
});

/** Bytes of the file that are read; identity/ refuses a smaller document already. */
const maxBundleDocumentBytes = 1024 * 1024;
/** Milliseconds between two looks at the file; it is small, and on this host. */
export const bundlePollMs = 5_000;
/** Seconds that a document counts for without a `spiffe_refresh_hint` (SPIFFE Trust Domain and Bundle, section 4.1.2). */
const defaultRefreshSeconds = 300;
/** Seconds that no hint makes longer: so long a removed key may still sign while the file cannot be read. */
const maxRefreshSeconds = 3_600;
/** Milliseconds that a verified token is remembered; its expiry, and the device's state, count at every request. */
const maxRememberedMs = 60_000;
/** Tokens that are remembered: some hundred bytes to 8 KiB each. */
const maxRemembered = 1_024;

export interface BearerTokens {
  /** Whether a token says that one of our authorities signed it; another may be the workload's own affair. Never throws. */
  isOurs(token: string): boolean;
  /** Throws or rejects when it does not verify. At once for a token verified a moment ago. */
  verify(token: string): VerifiedJwtSvid | Promise<VerifiedJwtSvid>;
  /** Reads the file once more. Never rejects: what cannot be used is logged. */
  refresh(): Promise<void>;
  readonly task: Task;
}

export interface BearerOptions {
  /** The bundle file's bytes; rejects when it cannot be read. */
  readonly read: () => Promise<Uint8Array>;
  readonly trustDomain: string;
  readonly audiences: readonly string[];
  readonly issuer?: string | undefined;
  /** Trusted time, milliseconds since the epoch. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

interface InForce {
  readonly bytes: Uint8Array;
  readonly bundle: JwtBundle;
}

interface Remembered {
  readonly svid: VerifiedJwtSvid;
  readonly from: number;
  readonly until: number;
}

export function createBearerTokens(options: BearerOptions): BearerTokens {
  const { clock, log, now, trustDomain, audiences, issuer } = options;
  const remembered = new Map<string, Remembered>();
  let inForce: InForce | undefined;
  /** Of the monotonic clock: when the file was last seen to be as it should. */
  let seenAt = 0;
  let lastFault = '';

  const bundle = (): JwtBundle => {
    if (inForce === undefined)
      throw bearerErrors.error('BEARER_NO_AUTHORITIES', 'no trust bundle document was read yet');
    if (clock.monotonic() - seenAt > graceMs(inForce.bundle)) {
      throw bearerErrors.error('BEARER_NO_AUTHORITIES', 'the trust bundle document cannot be read for too long');
    }
    return inForce.bundle;
  };

  async function readAgain(): Promise<void> {
    const bytes = await options.read();
    const unchanged = inForce !== undefined && Buffer.compare(bytes, inForce.bytes) === 0;
    if (!unchanged) {
      const next = parseJwtBundle(bytes);
      mustNotBeOlder(next, inForce?.bundle);
      remembered.clear();
      inForce = { bytes: Uint8Array.from(bytes), bundle: next };
      log.info({ authorities: next.authorities.size, sequence: next.sequence }, 'JWT authorities are in force');
    }
    seenAt = clock.monotonic();
    lastFault = '';
  }

  const refresh = async (): Promise<void> => {
    try {
      await readAgain();
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      if (fault !== lastFault) log.warn({ err: error }, 'the trust bundle document of JWT-SVIDs cannot be used');
      lastFault = fault;
    }
  };

  async function verifyNow(token: string, by: JwtBundle): Promise<VerifiedJwtSvid> {
    const from = now();
    const svid = await verifyJwtSvid(token, { trustDomain, bundle: by, audiences, issuer, now: from });
    // A key that was taken away meanwhile has signed nothing.
    if (bundle() !== by) throw bearerErrors.error('BEARER_KEYS_CHANGED', 'the JWT authorities changed meanwhile');
    if (remembered.size >= maxRemembered) remembered.delete(remembered.keys().next().value ?? '');
    remembered.set(token, { svid, from, until: Math.min(svid.expiresAt, from + maxRememberedMs) });
    return svid;
  }

  return {
    isOurs: (token) => inForce !== undefined && authorityOf(token, inForce.bundle) !== undefined,
    verify: (token) => {
      const by = bundle();
      const known = remembered.get(token);
      const time = now();
      if (known !== undefined && time >= known.from && time < known.until) return known.svid;
      if (known !== undefined) remembered.delete(token);
      return verifyNow(token, by);
    },
    refresh,
    task: periodically(clock, bundlePollMs, refresh),
  };
}

export interface BearerParts {
  readonly config: EdgeConfig;
  readonly trustDomain: string;
  /** Trusted time, milliseconds since the epoch. */
  readonly now: () => number;
  readonly fs: Pick<FileSystem, 'readFile'>;
  readonly log: Logger;
}

/** Undefined where the configuration accepts no bearer tokens. */
export async function openBearerTokens(parts: BearerParts): Promise<BearerTokens | undefined> {
  const { config, trustDomain, now, fs, log } = parts;
  if (config.authz.jwtSvid === undefined) return undefined;
  const { bundle, audiences, issuer } = config.authz.jwtSvid;
  const read = async (): Promise<Uint8Array> => await fs.readFile(bundle, maxBundleDocumentBytes);
  const tokens = createBearerTokens({ read, trustDomain, audiences, issuer, now, clock: systemClock, log });
  await tokens.refresh();
  return tokens;
}

/** Never less than it takes to look again. */
function graceMs({ refreshHintSeconds = defaultRefreshSeconds }: JwtBundle): number {
  return Math.max(Math.min(refreshHintSeconds, maxRefreshSeconds) * 1_000, 3 * bundlePollMs);
}

function mustNotBeOlder({ sequence = 0 }: JwtBundle, before: JwtBundle | undefined): void {
  if (before?.sequence !== undefined && sequence < before.sequence) {
    throw bearerErrors.error('BEARER_BUNDLE_OLDER', `its sequence is ${sequence}, ${before.sequence} is in force`);
  }
}
