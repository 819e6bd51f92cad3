// Named bounds of the policy room, each with its unit and reason.

/** Bytes of one file of a policy repository: a Casbin policy of ten thousand lines is below half of it. */
export const MAX_FILE_BYTES = 1024 * 1024;
/** Files of a policy repository that are read. */
export const MAX_FILES = 10_000;
/** Bytes of all files together: what a publisher's machine holds twice in memory without noticing. */
export const MAX_REPOSITORY_BYTES = 64 * 1024 * 1024;
/** Characters of a path inside the repository; leaves room for `:line` in a slice's place (512). */
export const MAX_PATH_LENGTH = 400;
/** Folders below the root: deeper is a mistake, and a bound for the walk. */
export const MAX_PATH_DEPTH = 16;
/** Bytes of one threat feed: 100,000 prefixes with a comment each. */
export const MAX_FEED_BYTES = 4 * 1024 * 1024;
/** Lines of one threat feed, comments among them. */
export const MAX_FEED_LINES = 250_000;
/** Characters of one address block. */
export const MAX_FEED_LINE = 64;
/** Lines of one threat feed that are blamed one by one. */
export const MAX_FEED_PROBLEMS = 20;
/** Shortest prefixes of a threat feed: the largest networks of a single owner (RFC 1166, and RIR allocations). */
export const MIN_FEED_PREFIX = { 4: 8, 6: 20 } as const;
/** Firewall rules, with those of traps and meters, of one device. */
export const MAX_FIREWALL_RULES = 10_000;
/** Problems reported of one repository; the count of the rest is said. */
export const MAX_PROBLEMS = 1_000;
/** Comparisons of rules with each other in one analysis of lint: a few seconds. */
export const MAX_LINT_COMPARISONS = 5_000_000;
/** Of these for one rule, so that a single one with very many candidates does not use up the rest. */
export const MAX_LINT_COMPARISONS_A_LINE = 10_000;

/** Milliseconds an opa command may take; a package compiles in a few hundredths of a second. */
export const OPA_TIMEOUT_MS = 60_000;
/** Bytes that an opa command may answer: its capabilities are about a hundred thousand. */
export const OPA_MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Bytes of the archive that opa writes, unpacked: the module, the sources, the data. */
export const MAX_REGO_ARCHIVE_BYTES = 32 * 1024 * 1024;

/** Milliseconds a git command may take; clones of a policy repository are small. */
export const GIT_TIMEOUT_MS = 120_000;
/** Bytes a git command may answer: the repository's cap plus headers. */
export const GIT_MAX_OUTPUT_BYTES = MAX_REPOSITORY_BYTES + 16 * 1024 * 1024;

/** Milliseconds an observe mode or a waiver may last: a year is already a permanent hole with a date on it. */
export const MAX_OBSERVE_MS = 92 * 86_400_000;
export const MAX_WAIVER_MS = 366 * 86_400_000;
/** Milliseconds before a waiver's end from which lint warns: time to mend what it excuses. */
export const WAIVER_NOTICE_MS = 14 * 86_400_000;
/** Bounds of bundle expiry in milliseconds: below the first no edge survives a reboot, above the last offline means forever. */
export const MIN_EXPIRY_MS = 60_000;
export const MAX_EXPIRY_MS = 90 * 86_400_000;

/** Registers or coils of one Modbus access (Modbus application protocol 1.1b3, 6.1: 2,000 coils). */
export const MAX_MODBUS_QUANTITY = 2_000;

/** Bytes of one compiled Rego package: what opa adds to every package is about 170 KB, with regular expressions 450 KB. */
export const MAX_REGO_MODULE_BYTES = 2 * 1024 * 1024;
/** Characters of the base documents of one Rego package: a data.json of the largest accepted size, and its name. */
export const MAX_REGO_DATA_LENGTH = MAX_FILE_BYTES + 1024;

/** Self-test vectors of one slice: checked at every activation, so bounded well below a tenth of a second. */
export const MAX_SELF_TEST_VECTORS = 512;

/** Bytes of one chunk: fits a default gRPC message many times, and one element change moves at most this much. */
export const MAX_CHUNK_BYTES = 256 * 1024;
/** Bytes after which a chunk may end at an element that its content chooses. */
export const MIN_CHUNK_BYTES = 32 * 1024;
/** Chunks of one bundle; the same bound as in the manifest's schema. */
export const MAX_CHUNKS = 1024;
/** Bytes of one slice: what a small gateway can parse in well under a second. */
export const MAX_SLICE_BYTES = 32 * 1024 * 1024;
/** Characters of a manifest JWS: 1,024 chunks of 110 characters, in base64. */
export const MAX_MANIFEST_LENGTH = 256 * 1024;
/** Bytes of release and manifests in one message: half of what a listener takes (runtime/limits.ts). */
export const MAX_COMPLETION_BYTES = 2 * 1024 * 1024;
/** Bytes of one publication's release and manifests: about 25,000 devices; larger fleets are several trust domains. */
export const MAX_PUBLICATION_BYTES = 64 * 1024 * 1024;
/** Chunks of the largest size that such a publication is. */
export const MAX_PUBLICATION_PARTS = MAX_PUBLICATION_BYTES / MAX_CHUNK_BYTES;
/** Digests in one question of a publisher which chunks are missing: 140 KB. */
export const MAX_DIGESTS_ASKED = 4_096;
/** Chunks uploaded at the same time by a publisher. */
export const UPLOAD_CONCURRENCY = 8;
/** Milliseconds a publisher's clock may be ahead of the control plane's. */
export const MAX_PUBLISHER_AHEAD_MS = 5 * 60_000;
/** Digests asked of the database in one query: below SQLite's and PostgreSQL's bind limits. */
export const QUERY_BATCH = 500;
/** Versions whose manifests and chunks the control plane keeps, so that a late acknowledgement is still recognised. */
export const KEPT_VERSIONS = 16;
/** Milliseconds an uploaded chunk waits for its publication to complete before it counts as abandoned. */
export const UPLOAD_GRACE_MS = 24 * 3_600_000;
/** Milliseconds a device may still run a bundle after the next was published: to fetch it over a slow link, and for an answer to a challenge that is under way. */
export const REPLACED_BUNDLE_GRACE_MS = 10 * 60_000;
/** Characters of an edge's refusal that are kept. */
export const MAX_NACK_MESSAGE = 1_024;

/** Different places that the path patterns of one interface can leave a request in; each is asked. */
export const MAX_PATH_SETS = 2_000;
/** Combinations of hosts, headers and sizes of bodies asked with each path and method of one interface. */
export const MAX_BOUND_CELLS = 2_000;
/** Requests of one MQTT action that one subject is asked with. */
export const MAX_MQTT_CELLS = 20_000;
/** Registers asked one by one where a Casbin model reads them. */
export const MAX_SINGLE_REGISTERS = 4_096;
/** Requests that one invariant or one comparison of two policies asks: some seconds. */
export const MAX_CELLS = 5_000_000;
/** Texts that lists are asked for, of one attribute: each combination of them is a list. */
export const MAX_LIST_ITEMS_ASKED = 8;
/** Lines of one policy.csv that coverage takes out one by one. */
export const MAX_CASBIN_LINES_COVERED = 2_000;
/** Mistakes that one run makes in a policy: some minutes at most. */
export const MAX_MUTANTS = 2_000;
/** Steps of the largest change that an explanation looks for; more is another policy. */
export const MAX_FLIP_EDITS = 4;
/** Changes that one search decides: a few seconds. */
export const MAX_FLIP_TRIES = 100_000;
/** Lines of a policy.csv that are tried to be removed. */
export const MAX_CASBIN_EDITS = 100;

/** Devices of one trust domain that are compiled together: ten times the fleet of one control plane. */
export const MAX_FLEET_DEVICES = 100_000;
/** Rules of one policy: grants, denies, break-glass profiles and packet rules together. */
export const MAX_FLEET_RULES = 100_000;
/** Members of all distinct selectors together: about a gigabyte with what refers to them. */
export const MAX_FLEET_MEMBERS = 20_000_000;
