// What the authority needs from outside: declared here, wired in bin/.
import type { RandomBytes, SpiffeId } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Database } from '../../store/database.ts';
import type { Authority } from './authority.ts';

/** Whether the inventory of the current policy names the device. */
export type Inventory = (trustDomain: string, deviceId: string) => Promise<{ readonly known: boolean }>;

/** Whether a device may have a certificate, by its state; a refusal says why. */
export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly refusal: CodedError };

/** Asked before a token is made and before it is redeemed the first time. Refuses decommissioned devices. */
export type MayEnroll = (deviceId: string, request: { readonly reimage: boolean }) => Promise<Verdict>;

/** Asked before a renewal. Refuses decommissioned devices. */
export type MayRenew = (deviceId: string) => Promise<Verdict>;

export interface Enrolled {
  readonly deviceId: string;
  readonly id: SpiffeId;
  readonly serial: string;
  /** Made for a re-imaged device: its earlier certificates are revoked. */
  readonly reimage: boolean;
  readonly tokenId: string;
  /** SPIFFE ID of the operator who made the token. */
  readonly createdBy: string;
  /** As the client says; empty when told after a restart. */
  readonly agentVersion: string;
}

/**
 * Told after a device's certificate is committed and before it leaves. Told again (same serial) until it once
 * resolved, also after a restart, so it must be idempotent.
 */
export type OnEnrolled = (enrolled: Enrolled) => Promise<void>;

/** Told of serials that were not revoked before, by this process or another, so that listeners can end connections. */
export type OnRevoked = (serials: readonly string[]) => void;

/** What the audit log is told; shaped so that audit's events can take it as it is. */
export interface CaEvent {
  readonly kind: 'device' | 'admin';
  readonly activity: string;
  readonly severity: 'info' | 'low' | 'medium' | 'high';
  readonly data: Readonly<Record<string, string | number | boolean>>;
}

export type EmitCaEvent = (event: CaEvent) => Promise<void>;

export interface CaPorts {
  readonly database: Database;
  readonly authority: Authority;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly emit: EmitCaEvent;
  /** `host:port` of the enrolment listener as devices reach it; goes into join lines. */
  readonly enrolmentAddress: string;
  readonly inventory: Inventory;
  readonly mayEnroll: MayEnroll;
  readonly mayRenew: MayRenew;
  readonly onEnrolled: OnEnrolled;
  readonly onRevoked: OnRevoked;
}
