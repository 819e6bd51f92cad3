// Every bound of the audit pipeline, with its unit and its reason.

const kibi = 1024;
const mebi = 1024 * kibi;

/** Bytes of one stored event (ingest.proto, Record.payload). */
export const maxPayloadBytes: number = 32 * kibi;

/** Strings and lists of an event that is too large are cut to this many characters and items; the cut is marked. */
export const cutStringLength = 256;
export const cutListLength = 16;

/** Records and bytes of one Batch (ingest.proto). */
export const maxBatchRecords = 1_000;
export const maxBatchBytes: number = 1 * mebi;

/**
 * Records and bytes of one group commit on the edge: what gathers while the disk syncs the group before, at 150,000 events
 * a second about 25 ms.
 */
export const maxGroupRecords = 4_000;
export const maxGroupBytes: number = 2 * mebi;
/** Records hashed before anything else has a turn: half a millisecond. */
export const hashedAtOnce = 256;
/** Bytes that wait from which a group does not wait for company. */
export const fullGroupBytes: number = 512 * kibi;

export interface SpoolLimits {
  /** Bytes on disk at which the spool counts as full, reserve included. The disk belongs to the workloads. */
  readonly totalBytes: number;
  /** Bytes after which a new segment begins; what is acknowledged is freed by whole segments. */
  readonly segmentBytes: number;
  /** Bytes kept free for loss records, the ledger, and events of severity high and critical. */
  readonly reserveBytes: number;
  /** Bytes of events in memory that wait for the disk; beyond it they are refused or counted as lost. */
  readonly queueBytes: number;
  /** Longest an event that nobody waits for stays in memory before it is written, milliseconds. */
  readonly groupCommitMs: number;
  /** How often a full spool looks whether there is room again, milliseconds. */
  readonly retryFullMs: number;
  /** Bytes of the latest events kept in memory, so that a connected edge delivers without reading the disk. */
  readonly recentBytes: number;
  /** Data keys whose values are replaced by salted commitments before anything is stored. */
  readonly maskedKeys: readonly string[];
}

export const defaultSpoolLimits: SpoolLimits = {
  totalBytes: 256 * mebi,
  segmentBytes: 4 * mebi,
  reserveBytes: 256 * kibi,
  queueBytes: 16 * mebi,
  groupCommitMs: 10,
  retryFullMs: 1_000,
  recentBytes: 1 * mebi,
  maskedKeys: [],
};

/** A segment file that is larger than this is not ours; it is read as a whole. */
export const maxSegmentFileBytes: number = 64 * mebi;

/** Damaged bytes kept aside per place and in all, so that a rotten disk does not fill itself. */
export const maxQuarantineBytes: number = 1 * mebi;
export const maxQuarantineFiles = 16;

/** How often a changed chain head is signed and sent, milliseconds: what an intruder with the key can still rewrite. */
export const headIntervalMs = 2_000;

/** Waits between attempts to reach the ingest service, milliseconds; jittered, doubling. */
export const redialMinMs = 200;
export const redialMaxMs = 15_000;

/** How long the end of a chain waits for the acknowledgement of what was sent, before the rest moves to a new epoch. */
export const renewDrainMs = 5_000;

/** Records one device may have under way: enough to fill a long link, little enough for 10,000 devices at once. */
export const deviceCreditRecords = 2_000;
/** Records all devices together may have waiting for the store; the credit of a device shrinks towards its share. */
export const totalCreditRecords = 64_000;
export const minimumCreditRecords = 32;

/** Records and bytes of one transaction; several batches share it when they queue. */
export const transactionRecords = 4_000;
export const transactionBytes: number = 8 * mebi;
/** Rows of one INSERT; 13 columns each have to stay below SQLite's 32,766 variables. */
export const insertRows = 500;

/** Bytes of a signed head: an ES256 JWS over about 200 bytes of JSON. */
export const maxHeadBytes: number = 2 * kibi;
/** A signed head of a chain is kept for ever when it is this many records after the one kept before; else the next replaces it. */
export const keptHeadSpacing = 1_000;
/** Heads ahead of the stored records that are remembered per stream. */
export const maxPendingHeads = 64;

/** A checkpoint is signed at most this often, milliseconds. */
export const checkpointIntervalMs = 1_000;

/** Older checkpoints are kept so long, milliseconds; whoever wants to hold one fetches it. */
export const keptCheckpointsMs = 3_600_000;

export const defaultQueryEntries = 100;
export const maxQueryEntries = 1_000;
/** A tail also looks by itself, because another replica may have stored the entry, milliseconds. */
export const tailPollMs = 500;

/** Entries and heads read at once for an export; bounds memory, not the export. */
export const exportPage = 1_000;

/** Findings of one verification; the first name the place, the rest is noise. */
export const maxVerifyFindings = 100;
