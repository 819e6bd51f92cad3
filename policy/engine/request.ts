// The question every enforcement point asks and the answer it gets (NIST SP 800-207 decision point, OpenID AuthZEN
// vocabulary). Shapes only: the engine is pure, knows no transport and touches no host.

import type { Obligation } from '../bundle/conditions.ts';
import type { MqttAction } from '../bundle/mqtt.ts';

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
  | {
      readonly protocol: 'http';
      readonly method: string;
      readonly path: string;
      /** As the client named it, `name` or `name:port`; absent where the enforcement point does not see it. */
      readonly host?: string;
      /** By lower case name, every field line; of names that no policy reads, any or none. */
      readonly headers?: Readonly<Record<string, readonly string[]>>;
      /** Length of the body; absent while it is not surely known. */
      readonly bodyBytes?: number;
    }
  | {
      readonly protocol: 'modbus';
      readonly unit: number;
      readonly functionCode: number;
      /** First register or coil and count; for function codes without an address both are 0. */
      readonly address: number;
      readonly quantity: number;
      /** Written 16-bit values in order; empty for reads. */
      readonly values: readonly number[];
      /** Largest difference of a written value to any value that its register had in the last 60 s. */
      readonly change?: number;
    }
  | MqttRequest
  | TlsRequest
  | { readonly protocol: 'port' }
  | { readonly protocol: 'named'; readonly name: string };

/**
 * One thing that a packet of MQTT asks for (3.1.1 or 5.0). What does not belong to the action is empty, false or 0; what
 * is absent is unknown, which opens nothing.
 */
export interface MqttRequest {
  readonly protocol: 'mqtt';
  /** `receive`: a delivery from the server to this client. A will is asked twice: with its connect, and as publish. */
  readonly action: MqttAction;
  /** Of the connection. Empty when the server is to choose one. */
  readonly clientId: string;
  /** Topic name; of subscribe the filter, without `$share/<name>/`; empty of connect. */
  readonly topic: string;
  /** Name of the shared subscription. */
  readonly share?: string;
  /** Of subscribe the highest that it asks for. */
  readonly qos: 0 | 1 | 2;
  /** Of publish: the server is to keep it. */
  readonly retain: boolean;
  /** Of connect: it carries a will; of publish: it is one. */
  readonly will: boolean;
  readonly payloadBytes: number;
  /** The payload, read; absent when it is no JSON, or some object of it has a member twice. */
  readonly json?: unknown;
  /** Of connect; 0 for none at all. */
  readonly keepAliveSeconds?: number;
  /** 4 is MQTT 3.1.1. */
  readonly version: 4 | 5;
  /** Of the connection, as the client says. */
  readonly userName?: string;
}

/** A ClientHello of TLS that is passed through (RFC 8446, 4.1.2). */
export interface TlsRequest {
  readonly protocol: 'tls';
  /** As sent (RFC 6066, section 3); empty without one. */
  readonly serverName: string;
  /** RFC 7301, as offered. */
  readonly alpn: readonly string[];
}

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
  /** The enforcer is dead, and its stand-in serves safety operations, and who is held. */
  | 'standby'
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
  /** Set on an allow of a safety operation that a fault of ours would have denied: that fault. */
  readonly spared?: Reason;
}
