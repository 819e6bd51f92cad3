// Published policy in the control plane: publication, what each device gets, what each edge says it enforces.
export type { Ack, EdgePolicyStatus, Nack, PolicyStatus } from './acknowledgements.ts';
export { policyMigrations } from './migrations.ts';
export {
  createPublications,
  type CurrentManifest,
  type CurrentRelease,
  type Publications,
  type PublicationsOptions,
  type Published,
} from './publications.ts';
export { createSliceDevices } from './slice-devices.ts';
export type { Publication } from './verify-publication.ts';
