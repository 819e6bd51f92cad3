// The edge's own identity while it runs: loaded from disk, replaced by renewals, read by everything that needs a key.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DeviceIdentity,
  loadIdentity,
  prepareRenewal,
  renewalTime,
  saveAnchors,
  saveRenewed,
  type StateDirectory,
} from '../../ca/edge/index.ts';
import { certificatesToPem, type ParsedTrustAnchors, trustAnchorsFromWire, verifyJws } from '../../identity/index.ts';
import { fromBinary } from '@bufbuild/protobuf';
import { TrustAnchorsSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { Renewal, ResourceHandler } from '../../policy/distribution/edge/index.ts';
import { createHash } from 'node:crypto';
import type { Clock } from '../../runtime/clock.ts';

export interface OwnIdentity {
  current(): DeviceIdentity;
  anchors(): ParsedTrustAnchors;
  /** Renewal over the stream, with a new key. */
  renewal(clock: Clock): Renewal;
  /** Calls back after each renewal and each change of anchors. */
  follow(changed: () => void): void;
  /** Takes signed trust anchors from the stream. */
  readonly anchorsHandler: ResourceHandler;
}

export async function openOwnIdentity(state: StateDirectory): Promise<OwnIdentity> {
  let identity = await loadIdentity(state);
  const followers: (() => void)[] = [];
  const changed = (): void => followers.forEach((follower) => follower());
  let anchorsVersion = 0n;
  let anchorsDigest = new Uint8Array();
  writeRoots(state.path, identity.anchors);

  return {
    current: () => identity,
    anchors: () => identity.anchors,
    follow: (follower) => void followers.push(follower),
    renewal: (clock) => ({
      dueInMs: () => renewalTime(identity.leaf) - clock.now(),
      createRequest: async () => (await prepareRenewal(state)).csrDer,
      accept: async (response) => {
        identity = await saveRenewed(state, response, clock);
        changed();
      },
    }),
    anchorsHandler: {
      version: () => anchorsVersion,
      confirm: () => Promise.resolve({ digest: anchorsDigest }),
      apply: async ({ version, payload }) => {
        const keys = identity.anchors.ordersKeys;
        const verified = await verifyJws(Buffer.from(payload).toString('latin1'), {
          typ: 'edgeward-anchors+proto',
          keys,
        });
        const anchors = trustAnchorsFromWire(fromBinary(TrustAnchorsSchema, verified.payload));
        mustKeepTrustDomain(identity.anchors, anchors);
        // Publishers stay as pinned at enrolment: whoever holds the orders key must not be able to write policy.
        const kept = { ...anchors, publisherKeys: identity.anchors.publisherKeys };
        await saveAnchors(state, kept);
        identity = { ...identity, anchors: kept };
        writeRoots(state.path, anchors);
        anchorsVersion = version;
        anchorsDigest = new Uint8Array(createHash('sha256').update(payload).digest());
        changed();
        return { digest: anchorsDigest };
      },
    },
  };
}

function mustKeepTrustDomain(before: ParsedTrustAnchors, after: ParsedTrustAnchors): void {
  if (before.trustDomain !== after.trustDomain) {
    throw new Error(`anchors of ${after.trustDomain} were sent to a device of ${before.trustDomain}`);
  }
}

/** roots.pem for the proxies beside us (nginx `ssl_client_certificate`). */
function writeRoots(state: string, anchors: ParsedTrustAnchors): void {
  mkdirSync(join(state, 'identity'), { recursive: true });
  writeFileSync(join(state, 'identity', 'roots.pem'), certificatesToPem(anchors.roots));
}
