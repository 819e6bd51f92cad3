// A whole authority for tests: real keys, real database, a clock that stands still, and ears for what it says.
import { randomBytes } from 'node:crypto';
import { makeAuthority, type Authority } from '../../ca/cloud/authority.ts';
import {
  type CaEvent,
  caMigrations,
  type CaPorts,
  type CertificateAuthority,
  type Enrolled,
  openCertificateAuthority,
} from '../../ca/cloud/index.ts';
import { type JoinLine, parseJoinLine } from '../../ca/index.ts';
import { createCsr, generateKey, type KeyPair, verifyChain, type VerifiedSvid } from '../../identity/index.ts';
import { CodedError } from '../../runtime/errors.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { createLogger } from '../../runtime/log.ts';
import type { Database } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';

export const trustDomain = 'plant.example';
export const operator = `spiffe://${trustDomain}/operator/ada`;

export interface TestCa {
  readonly ca: CertificateAuthority;
  readonly ports: CaPorts;
  readonly clock: FakeClock;
  readonly authority: Authority;
  readonly events: CaEvent[];
  readonly enrolled: Enrolled[];
  readonly revoked: string[];
  /** The same database and keys in a new process. */
  restart(changes?: Partial<CaPorts>): Promise<TestCa>;
}

export async function openTestCa(database: Database, changes: Partial<CaPorts> = {}): Promise<TestCa> {
  await migrate(database, 'ca', caMigrations);
  const clock = (changes.clock as FakeClock | undefined) ?? new FakeClock();
  const authority = changes.authority ?? makeAuthority(trustDomain, clock, randomBytes);
  const events: CaEvent[] = [];
  const enrolled: Enrolled[] = [];
  const revoked: string[] = [];
  const ports: CaPorts = {
    database,
    authority,
    clock,
    random: randomBytes,
    log: createLogger({ name: 'test', level: 'silent' }),
    emit: async (event) => void events.push(event),
    enrolmentAddress: '127.0.0.1:8443',
    inventory: async (_trustDomain, deviceId) => ({ known: /^(plc|gateway|camera)-[0-9]+$/.test(deviceId) }),
    mayEnroll: async () => ({ allowed: true }),
    mayRenew: async () => ({ allowed: true }),
    onEnrolled: async (device) => void enrolled.push(device),
    onRevoked: (serials) => void revoked.push(...serials),
    ...changes,
  };
  const ca = await openCertificateAuthority(ports);
  const restart = (again: Partial<CaPorts> = {}) => openTestCa(database, { ...changes, clock, authority, ...again });
  return { ca, ports, clock, authority, events, enrolled, revoked, restart };
}

/** A token for a device, as the device reads it. */
export async function tokenFor(
  { ca }: TestCa,
  deviceId: string,
  options: { reimage?: boolean; ttlSeconds?: number } = {},
): Promise<JoinLine> {
  const { reimage = false, ttlSeconds = 0 } = options;
  return parseJoinLine((await ca.createToken({ deviceId, ttlSeconds, reimage, by: operator })).joinLine);
}

export function redemption(line: Pick<JoinLine, 'tokenId' | 'secret'>, keys: KeyPair, uri?: string) {
  const csrDer = createCsr(keys, uri);
  return { tokenId: line.tokenId, secret: line.secret, csrDer, agentVersion: '0.1.0', peer: '192.0.2.7:40000' };
}

/** Enrols a device and returns what it then holds. */
export async function enrolDevice(
  test: TestCa,
  deviceId: string,
  options: { reimage?: boolean } = {},
): Promise<{ keys: KeyPair; svid: VerifiedSvid; chain: readonly Buffer[]; line: JoinLine }> {
  const line = await tokenFor(test, deviceId, options);
  const keys = generateKey();
  const { chain } = await test.ca.redeemToken(redemption(line, keys));
  return { keys, svid: verified(test, chain), chain, line };
}

export function verified(
  { authority, clock }: Pick<TestCa, 'authority' | 'clock'>,
  chain: readonly Buffer[],
): VerifiedSvid {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) throw new Error('an empty chain');
  return verifyChain(leaf, intermediates, [authority.root.certificate.raw], {
    now: clock.now(),
    trustDomain: authority.trustDomain,
  });
}

/** For assert.rejects and assert.throws. */
export const coded =
  (code: string) =>
  (error: unknown): boolean => {
    if (error instanceof CodedError && error.code === code) return true;
    throw error;
  };
