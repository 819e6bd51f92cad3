// People: short-lived certificates for operators, and the roles that their names have. A role is read from here at
// every call, never from the certificate, so taking one away works at once.
import type { Kysely } from 'kysely';
import { operatorId, parseCsr, type ParsedCsr, type SpiffeId } from '../../identity/index.ts';
import { caErrors } from '../errors.ts';
import { limits } from '../limits.ts';
import { chainOf, completeReserved, keyHash, requireName, reserveCertificate } from './issuance.ts';
import type { CaPorts } from './ports.ts';
import { claimKey, lockSubject, readCertificateOfKey, readOperatorRoles, saveOperator } from './queries.ts';
import { revokeAllOf, type Revocations } from './revocations.ts';
import type { CaTables } from './tables.ts';

export const operatorRoles = ['viewer', 'operator', 'approver', 'publisher', 'auditor'] as const;
export type OperatorRole = (typeof operatorRoles)[number];

const namePattern = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;

export interface NewOperator {
  readonly name: string;
  /** At least one of `operatorRoles`. Replaces the roles the name has. */
  readonly roles: readonly string[];
  readonly csrDer: Uint8Array;
  /** 0 for the default of 8 hours; at most 24 hours. */
  readonly ttlSeconds: number;
  /** SPIFFE ID of who asks, or `bootstrap`. */
  readonly by: string;
}

export interface IssuedOperator {
  readonly id: SpiffeId;
  readonly serial: string;
  /** Leaf first, then the intermediate. DER. */
  readonly chain: readonly Buffer[];
}

/** Errors: CA_OPERATOR_INVALID, CA_NAME_MISMATCH, CA_KEY_IN_USE, CA_CERTIFICATE_REVOKED, IDENTITY_CSR_*. */
export async function issueOperator(ca: CaPorts, request: NewOperator): Promise<IssuedOperator> {
  const roles = parseOperator(request);
  const ttlSeconds = request.ttlSeconds === 0 ? limits.operatorTtlSeconds : request.ttlSeconds;
  const { trustDomain } = ca.authority;
  const id = operatorId(trustDomain, request.name);
  const csr = parseCsr(request.csrDer);
  requireName(csr, id);
  const serial = await ca.database.transaction<CaTables, string>(
    async (trx) => {
      await lockSubject(trx, trustDomain, id.uri);
      await requireKeyOf(trx, trustDomain, id, csr);
      await saveOperator(trx, {
        trust_domain: trustDomain,
        name: request.name,
        roles: roles.join(','),
        updated_at: ca.clock.now(),
        updated_by: request.by,
      });
      return await reserveCertificate(trx, ca, { subject: id, publicKey: csr.publicKey, ttlSeconds });
    },
    { isolation: 'read committed' },
  );
  const leaf = await completeReserved(ca, serial, csr.publicKey);
  await ca.emit({
    kind: 'admin',
    activity: 'operator_issue',
    severity: 'medium',
    data: { subject: request.by, operator: id.uri, roles: roles.join(','), serial, ttl_seconds: ttlSeconds },
  });
  return { id, serial, chain: chainOf(ca, leaf) };
}

/** The first administrator, who makes the others: all five roles for 24 hours. */
export async function bootstrapAdministrator(
  ca: CaPorts,
  request: { readonly name: string; readonly csrDer: Uint8Array },
): Promise<IssuedOperator> {
  return await issueOperator(ca, {
    ...request,
    roles: operatorRoles,
    ttlSeconds: limits.operatorTtlMaxSeconds,
    by: 'bootstrap',
  });
}

/** Roles of an operator's name; none for a name that is not known. */
export async function rolesOf(ca: Pick<CaPorts, 'database' | 'authority'>, name: string): Promise<OperatorRole[]> {
  const text = await readOperatorRoles(ca.database.withTables<CaTables>(), ca.authority.trustDomain, name);
  return operatorRoles.filter((role) => text?.split(',').includes(role));
}

/** Takes away every role and revokes every certificate of an operator. Doing it twice is no fault. */
export async function revokeOperator(
  ca: CaPorts & { readonly revocations: Revocations },
  request: { readonly name: string; readonly reason: string; readonly by: string },
): Promise<void> {
  const { trustDomain } = ca.authority;
  const id = operatorId(trustDomain, request.name);
  const serials = await ca.database.transaction<CaTables, string[]>(
    async (trx) => {
      await lockSubject(trx, trustDomain, id.uri);
      if ((await readOperatorRoles(trx, trustDomain, request.name)) === undefined) {
        throw caErrors.error('CA_OPERATOR_INVALID', `there is no operator ${request.name}`);
      }
      await saveOperator(trx, {
        trust_domain: trustDomain,
        name: request.name,
        roles: '',
        updated_at: ca.clock.now(),
        updated_by: request.by,
      });
      return await revokeAllOf(trx, ca, id.uri, request.reason);
    },
    { isolation: 'read committed' },
  );
  await ca.revocations.refresh();
  await ca.emit({
    kind: 'admin',
    activity: 'operator_revoke',
    severity: 'high',
    data: { subject: request.by, operator: id.uri, reason: request.reason, count: serials.length },
  });
}

function parseOperator(request: NewOperator): OperatorRole[] {
  const wrong = (what: string) => caErrors.error('CA_OPERATOR_INVALID', `the operator cannot be made: ${what}`);
  if (!namePattern.test(request.name)) {
    throw wrong('a name has 1 to 64 lower case letters, digits, dots and dashes');
  }
  const roles = operatorRoles.filter((role) => request.roles.includes(role));
  if (roles.length === 0 || roles.length !== request.roles.length) {
    throw wrong(`roles are one or more, each once, of ${operatorRoles.join(', ')}`);
  }
  const { ttlSeconds } = request;
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > limits.operatorTtlMaxSeconds) {
    throw wrong('the lifetime is at most 24 hours');
  }
  return roles;
}

/** A person may come back with the same key, but not with somebody else's, nor with one that was revoked. */
async function requireKeyOf(trx: Kysely<CaTables>, trustDomain: string, id: SpiffeId, csr: ParsedCsr): Promise<void> {
  const hash = keyHash(csr.publicKey);
  const owner = await claimKey(trx, trustDomain, hash, id.uri);
  if (owner === undefined) return;
  if (owner !== id.uri) throw caErrors.error('CA_KEY_IN_USE', 'the key belongs to another identity');
  const last = await readCertificateOfKey(trx, trustDomain, id.uri, hash);
  if (last !== undefined && last.revoked_at !== null) {
    throw caErrors.error('CA_CERTIFICATE_REVOKED', `the key of certificate ${last.serial} was revoked with it`);
  }
}
