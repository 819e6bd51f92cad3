// Revocation: all certificates of a subject at once, under a version that only grows; and what this process knows of
// it, for the listeners. Knowledge that is too old refuses everybody: who cannot read revocations cannot vouch.
import type { Kysely } from 'kysely';
import { deviceId as deviceSpiffeId } from '../../identity/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';
import type { CaPorts } from './ports.ts';
import {
  bumpVersion,
  listRevokedSerials,
  lockSubject,
  readVersion,
  revokeCertificatesOf,
  revokeTokensOf,
} from './queries.ts';
import type { CaTables } from './tables.ts';

/** A version's serials are a function of the version: revoked, and not expired when the version was made. */
export interface RevocationList {
  /** 0 when nothing was ever revoked. */
  readonly version: number;
  /** Lower case hex, sorted. */
  readonly serials: readonly string[];
}

export interface Revocations {
  /** Reads; for the signed message to the edges. */
  current(): Promise<RevocationList>;
  /** Throws CA_REVOCATIONS_STALE when the last reading is older than `limits.revocationMaxAgeMs`. */
  isRevoked(serialHex: string): boolean;
  /** Reads again now; what is committed before the call is known after it. */
  refresh(): Promise<void>;
  /** Keeps reading until aborted; survives a database that is away. */
  readonly keepFresh: Task;
}

export async function openRevocations(
  ca: Pick<CaPorts, 'database' | 'authority' | 'clock' | 'log' | 'onRevoked'>,
): Promise<Revocations> {
  const { database, clock } = ca;
  const { trustDomain } = ca.authority;
  let known: RevocationList = { version: 0, serials: [] };
  let revoked: ReadonlySet<string> = new Set();
  let readAt: number | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  async function read(): Promise<void> {
    const asOf = clock.monotonic();
    const next = await database.transaction<CaTables, RevocationList | undefined>(async (trx) => {
      const { version, at } = await readVersion(trx, trustDomain, 'revocations');
      if (version === known.version) return undefined;
      return { version, serials: await listRevokedSerials(trx, trustDomain, at) };
    });
    const first = readAt === undefined;
    readAt = asOf;
    if (next === undefined) return;
    const before = revoked;
    known = next;
    revoked = new Set(next.serials);
    const fresh = next.serials.filter((serial) => !before.has(serial));
    // At start there is nobody to disconnect.
    if (!first && fresh.length > 0) ca.onRevoked(fresh);
  }

  /** One reading after the other, so that an older result never replaces a newer one. */
  async function refresh(): Promise<void> {
    const reading = queue.then(read);
    queue = reading.catch(() => undefined);
    await reading;
  }

  await refresh();
  return {
    async current() {
      await refresh();
      return known;
    },
    isRevoked(serialHex) {
      if (readAt === undefined || clock.monotonic() - readAt > limits.revocationMaxAgeMs) {
        throw caErrors.error('CA_REVOCATIONS_STALE', 'revocations could not be read for too long');
      }
      return revoked.has(serialHex);
    },
    refresh,
    keepFresh: periodically(clock, limits.revocationPollMs, async () => {
      try {
        await refresh();
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        ca.log.warn({ code: error.code }, 'revocations could not be read; certificates are refused once this lasts');
      }
    }),
  };
}

/** Inside a transaction that holds the subject: revokes what it could still present. Returns the serials. */
export async function revokeAllOf(
  trx: Kysely<CaTables>,
  ca: Pick<CaPorts, 'authority' | 'clock'>,
  subject: string,
  reason: string,
): Promise<string[]> {
  const { trustDomain } = ca.authority;
  const at = ca.clock.now();
  const serials = await revokeCertificatesOf(trx, trustDomain, subject, {
    at,
    reason: reason.slice(0, limits.reasonMaxCharacters),
  });
  if (serials.length > 0) await bumpVersion(trx, trustDomain, 'revocations', at);
  return serials;
}

export interface Revocation {
  readonly deviceId: string;
  /** Why, for people. */
  readonly reason: string;
  /** SPIFFE ID or playbook that asked. */
  readonly by: string;
}

/** Revokes every certificate and every token of a device. Doing it twice is no fault. */
export async function revokeDevice(
  ca: CaPorts & { readonly revocations: Revocations },
  { deviceId, reason, by }: Revocation,
): Promise<RevocationList> {
  const { trustDomain } = ca.authority;
  const subject = deviceSpiffeId(trustDomain, deviceId).uri;
  const serials = await ca.database.transaction<CaTables, string[]>(
    async (trx) => {
      await lockSubject(trx, trustDomain, subject);
      await revokeTokensOf(trx, trustDomain, deviceId, ca.clock.now());
      return await revokeAllOf(trx, ca, subject, reason);
    },
    { isolation: 'read committed' },
  );
  const list = await ca.revocations.current();
  await ca.emit({
    kind: 'device',
    activity: 'certificates_revoke',
    severity: 'high',
    data: {
      device: deviceId,
      subject: by,
      reason,
      count: serials.length,
      serials: serials.join(' '),
      sequence: list.version,
    },
  });
  return list;
}
