// Reference values (RFC 9334): what the policy repository accepts, signed with its release.
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../runtime/canonical-json.ts';

/** Path or one of the two names below, to accepted SHA-256 digests (lowercase hex). */
export type ReferenceValues = Readonly<Record<string, readonly string[]>>;

/** Key of the accepted digests of the enforcer's own program. */
export const PROGRAM = 'edgeward:program';
/** Key of the accepted digests of the active manifest; the control plane fills it in from what it published. */
export const BUNDLE = 'edgeward:bundle';

/** Values of one device out of those of a release. What is said of the device itself replaces what is said of `*`. */
export function referenceValuesOf(all: Readonly<Record<string, ReferenceValues>>, deviceId: string): ReferenceValues {
  const of = (key: string): ReferenceValues => (Object.hasOwn(all, key) ? (all[key] ?? {}) : {});
  return { ...of('*'), ...of(deviceId) };
}

export function referenceDigest(reference: ReferenceValues): string {
  return createHash('sha256').update(canonicalJson(reference)).digest('hex');
}
