// The signed bundle of one device: shapes, sealing (publisher), opening (edge).
export { auditClassOf, type AuditLevel } from './audit-classes.ts';
export {
  approveBreakGlass,
  type BreakGlassRequest,
  type BreakGlassSigner,
  breakGlassErrors,
  newBreakGlassRequest,
  readBreakGlassRequest,
  readUnverifiedTicket,
  type UnverifiedTicket,
  type VerifiedTicket,
  verifyTicket,
} from './break-glass.ts';
export { cutChunks, type BundleChunk } from './chunks.ts';
export { attributeNamePattern } from './conditions.ts';
export { enforcerDeathOf, type EnforcerDeath } from './enforcer-death.ts';
export {
  cgroupPattern,
  type FlowRate,
  hostNamePattern,
  MAX_METERS,
  MAX_THROUGH_RULES,
  MAX_THROUGH_STEPS,
  portTransports,
  type SliceFirewallRule,
  type SliceIsland,
  type SliceMeter,
  type SliceTrap,
  type SliceWorkload,
} from './firewall.ts';
export { type HttpReads, httpReadsOf } from './http-bounds.ts';
export { knownFeatures, requiredFeatures, type Feature } from './features.ts';
export { openBundle, readManifest, type OpenBundleOptions, type VerifiedBundle } from './open.ts';
export { sealBundle, type BundleMeta, type SealedBundle } from './seal.ts';
export {
  digestOf,
  MANIFEST_TYPE,
  RELEASE_TYPE,
  signDocument,
  verifyDocument,
  type PublisherKey,
  type PublisherPublicKey,
  type VerifiedDocument,
} from './signed-json.ts';
export { idPattern } from './scalars.ts';
export {
  regoNamePattern,
  manifestSchema,
  proxiedProtocols,
  releaseSchema,
  sliceSchema,
  type Manifest,
  type NetworkInterface,
  type Release,
  type SelfTestVector,
  type Slice,
  type SliceBreakGlass,
  type SliceCasbin,
  type SliceDeny,
  type SliceDevice,
  type SliceGrant,
  type SliceInterface,
  type SliceOperation,
  type SliceRego,
} from './slice.ts';
