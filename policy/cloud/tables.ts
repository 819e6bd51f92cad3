// Rows of the policy tables. Every table is keyed by trust domain; times are milliseconds since the epoch, digests
// lower case hex.
import type { Selectable } from 'kysely';

/** One row per trust domain: the version in force, 0 before the first. Its lock orders publications. */
interface VersionTable {
  trust_domain: string;
  last_version: number;
}

interface ChunkTable {
  trust_domain: string;
  /** SHA-256 of the content. */
  digest: string;
  content: Uint8Array;
  size: number;
  /** Last upload; a publication under way holds on to its chunks by it. */
  uploaded_at: number;
  /** Newest release that names it; 0 for none yet. */
  last_version: number;
}

interface ReleaseTable {
  trust_domain: string;
  version: number;
  /** SHA-256 of the JWS. */
  digest: string;
  release_jws: string;
  commit_id: string;
  author: string;
  publisher_key_id: string;
  published_at: number;
}

interface ManifestTable {
  trust_domain: string;
  version: number;
  device_id: string;
  /** SHA-256 of the JWS. */
  digest: string;
  manifest_jws: string;
}

/** What an edge last said about its bundle. */
interface AcknowledgementTable {
  trust_domain: string;
  device_id: string;
  /** 0 and empty for none. */
  enforced_version: number;
  enforced_digest: string;
  acknowledged_at: number;
  self_test_vectors: number;
  self_test_passed: number;
  /** Last refusal; empty when the edge has since activated that version or a newer one. */
  nack_code: string;
  nack_message: string;
  nack_version: number;
}

export interface PolicyTables {
  policy_versions: VersionTable;
  policy_chunks: ChunkTable;
  policy_releases: ReleaseTable;
  policy_manifests: ManifestTable;
  policy_acknowledgements: AcknowledgementTable;
}

export type ReleaseRow = Selectable<ReleaseTable>;
export type ManifestRow = Selectable<ManifestTable>;
export type AcknowledgementRow = Selectable<AcknowledgementTable>;
