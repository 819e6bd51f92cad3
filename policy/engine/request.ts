// The question every enforcement point asks and the answer it gets (NIST SP 800-207 decision point, OpenID AuthZEN
// vocabulary). Shapes only: the engine is pure, knows no transport and touches no host.

import type { Obligation } from '../bundle/conditions.ts';

/** Life of a device as policy sees it (design section 2). `unknown` is a subject the bundle does not name. */
export type SubjectState =
  | 'unknown'
  | 'expected'
  | 'enrolled'
  | 'trusted'
  | 'stale'
  | 'suspect'
  | 'quarantined'
  | 'recovering'
  | 'decommissioned'
  | 'revoked';

/** How the subject was established: verified SVID, or an inventory address checked against spoofing. */
export type Binding = 'svid' | 'port+mac+ip' | 'ip';

export type AttributeValue = string | number | boolean | readonly string[];

/** An attribute with its age; a stale one counts as absent. Absent is not undefined is not empty. */
export interface Attribute {
  readonly value: AttributeValue;
  /** Milliseconds since the epoch at which the source knew it. Omitted for what comes with the request. */
  readonly asOf?: number;
}

export interface AccessRequest {
  readonly subject: {
    /** Device id of the inventory, e.g. `gateway-1`; empty string when nobody could be established. */
    readonly id: string;
    readonly binding: Binding;
    readonly state: SubjectState;
    readonly attributes: Readonly<Record<string, Attribute>>;
  };
  /** What is done, in terms of the interface's protocol. */
  readonly operation: Operation;
  readonly resource: {
    /** Name of the interface in the bundle, e.g. `plc-modbus`. */
    readonly interface: string;
    readonly attributes: Readonly<Record<string, Attribute>>;
  };
  readonly context: {
    /** Milliseconds since the epoch, from the edge's trusted clock. */
    readonly time: number;
    /**
     * Given when `time` is not trusted, after a cold boot: the latest signed time, which has surely passed. The true time
     * may be any after it, so a calendar knows no more. 0 when none was ever heard.
     */
    readonly timeFloor?: number;
    /** This device is in island mode: safety operations and those marked for it, and nothing else. */
    readonly island?: true;
    /** Enforcement point: `authz`, `forward-auth`, `modbus`, `packet`. */
    readonly source: string;
    /** `address:port` of the client as the kernel saw it; empty when unknown. */
    readonly connection: string;
    readonly attributes: Readonly<Record<string, Attribute>>;
  };
}

/**
 * An operation as seen on the wire; the engine maps it to the named operations of the interface. `named` is every request
 * at once that is an instance of one of them, for who asks before there is a request: allowed when all of them surely are.
 */
export type Operation =
  | { readonly protocol: 'http'; readonly method: string; readonly path: string }
  | {
      readonly protocol: 'modbus';
      readonly unit: number;
      readonly functionCode: number;
      /** First register or coil and count; for function codes without an address both are 0. */
      readonly address: number;
      readonly quantity: number;
      /** Written 16-bit values in order; empty for reads. */
      readonly values: readonly number[];
    }
  | { readonly protocol: 'port' }
  | { readonly protocol: 'named'; readonly name: string };

export type { Obligation } from '../bundle/conditions.ts';

/** What people opened for a while where no grant does (break-glass). */
export interface Opening {
  /** E.g. `break-glass:restart-line/2f0c…`: profile and ticket. */
  readonly rule: string;
  /** Of the profile. */
  readonly place: string;
  readonly subject: string;
  readonly binding: Binding;
  readonly interface: string;
  /** That serves the interface. */
  readonly device: string;
  readonly operations: readonly string[];
  /** Whatever the age of the bundle, its operations count as fresh. */
  readonly afterHardExpiry: boolean;
}

/** Why; closed. `granted` is the only reason that comes with `allow: true`. */
export type Reason =
  | 'granted'
  | 'no-bundle'
  | 'hard-expired'
  | 'soft-expired'
  | 'state'
  /** Island mode of this device; the subject's state would have admitted it. */
  | 'island'
  | 'denied'
  | 'no-grant'
  | 'condition'
  | 'binding'
  | 'casbin'
  | 'rego'
  | 'obligation'
  | 'unknown-interface'
  | 'unknown-operation'
  | 'ambiguous'
  /** The enforcement point had no room or no time to ask. */
  | 'overload'
  | 'fault';

export interface Decision {
  readonly allow: boolean;
  readonly reason: Reason;
  /** Rule that decided, e.g. `grant:gateway-reads-plc` or `deny:no-writes`; empty when none did. */
  readonly rule: string;
  /** `file:line` in the policy repository; empty when no rule decided. */
  readonly place: string;
  /** Named operation of the interface that matched; empty when none. */
  readonly operation: string;
  /** Hex SHA-256 of the manifest in force; empty without a bundle. */
  readonly bundle: string;
  /** With reason `condition` or `obligation`: which one, in words, e.g. `risk at most 50`. */
  readonly condition?: string;
  /** What has to be done with an allow; who does not know one of them denies (obligations.ts). */
  readonly obligations?: readonly Obligation[];
  /** With reason `obligation`: all that the allow asked for, some of which cannot be fulfilled. */
  readonly unfulfilled?: readonly Obligation[];
  /** With reason `obligation`: a caller who proves this level is allowed, as far as the engine knows. */
  readonly stepUp?: string;
  /** Set in observe mode: the answer is allow, and this is what it would have denied. */
  readonly observed?: Reason;
}
