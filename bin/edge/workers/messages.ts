// What the edge and its authz workers say to each other, over the channel that Node opens between parent and child
// (structured clone: Map, Set, Buffer and bigint as they are). Only data; the worker builds its own engine from the disk.
import type { NewEvent } from '../../../audit/spool/index.ts';
import type { SubjectView, TrustedTime } from '../../../enforcer/activation/index.ts';
import type { PublicJwk } from '../../../identity/index.ts';
import type { Opening, UseLimit } from '../../../policy/engine/index.ts';
import type { EdgeConfig } from '../config.ts';

/** Time as the edge trusts it, at an uptime of the host (CLOCK_BOOTTIME, the same for every process). */
export interface TimeMark {
  readonly time: TrustedTime;
  readonly uptimeMs: number;
}

/** What a worker hears every second: without it, it denies. */
export interface Heartbeat {
  readonly mark: TimeMark;
  /** What people have opened with tickets. */
  readonly openings: readonly Opening[];
  /** This device is in island mode; comes with every change too, before it. */
  readonly island: boolean;
}

/** Of our identity what verifying peers needs; never a private key. */
export interface PeerAnchors {
  readonly chain: readonly Uint8Array[];
  readonly trustDomain: string;
  readonly roots: readonly Uint8Array[];
  readonly publisherKeys: readonly PublicJwk[];
}

export interface Snapshot {
  /** Hex SHA-256 of the manifest in force; empty for none. */
  readonly digest: string;
  readonly heartbeat: Heartbeat;
  readonly anchors: PeerAnchors;
  readonly subjects: SubjectView;
}

/** To a worker. It answers `done` to each that has an id, in their order. */
export type ToWorker =
  | {
      readonly kind: 'start';
      readonly id: number;
      readonly index: number;
      readonly config: EdgeConfig;
      readonly deviceId: string;
      readonly snapshot: Snapshot;
    }
  | { readonly kind: 'subjects'; readonly id: number; readonly subjects: SubjectView }
  | { readonly kind: 'anchors'; readonly id: number; readonly anchors: PeerAnchors }
  /** Another bundle is in force, and on the disk. */
  | { readonly kind: 'policy'; readonly id: number; readonly digest: string }
  | { readonly kind: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'kept'; readonly id: number; readonly ok: boolean }
  | { readonly kind: 'stop'; readonly id: number };

/** One use of a limited grant that the engine of a worker would take. */
export interface WantedUse {
  readonly limit: UseLimit;
  readonly subject: string;
  readonly time: number;
}

export type FromWorker =
  | { readonly kind: 'done'; readonly id: number; readonly error?: string }
  /** `dropped`: decisions since the last message whose record found no room. */
  | { readonly kind: 'events'; readonly events: readonly NewEvent[]; readonly dropped: number }
  /** Answered with `kept`: on disk, or not. */
  | { readonly kind: 'keep'; readonly id: number; readonly event: NewEvent }
  | { readonly kind: 'use'; readonly id: number; readonly uses: readonly WantedUse[] };
