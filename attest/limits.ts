// Every bound of attestation in one place, with its unit and reason.

/** Random bytes of a challenge; as many as a TPM quote carries later. */
export const NONCE_BYTES = 32;
/** Milliseconds within which a challenge is answered; slow disks need seconds, replays get a minute (attest note, step 9). */
export const CHALLENGE_TTL_MS = 60_000;
/** Open challenges of one device: two streams, and one more each after a reconnect. */
export const MAX_CHALLENGES_PER_DEVICE = 4;
/** Milliseconds that an old challenge is remembered, so that a late or repeated answer is told from an unknown one. */
export const CHALLENGE_GRACE_MS = 10_000;
/** Open and lately used challenges of all devices; about 200 bytes each, six a device for 20,000 devices. */
export const MAX_CHALLENGES = 131_072;
/** Milliseconds by which the clocks of two control-plane replicas may differ. */
export const CLOCK_SKEW_MS = 5_000;
/** Devices whose last result is remembered so that an unchanged one is not reported again. */
export const MAX_REMEMBERED_RESULTS = 65_536;

/** Bytes of an evidence JWS; 256 executables with long paths fit. */
export const MAX_EVIDENCE_BYTES = 262_144;
/** Executables in one piece of evidence. */
export const MAX_EXECUTABLES = 256;
/** Characters of a path; the same bound as in the policy repository's reference values. */
export const MAX_PATH_CHARACTERS = 512;

/** Bytes of one measured file; larger ones count as missing, so that a sparse file cannot keep an edge busy. */
export const MAX_MEASURED_FILE_BYTES = 2 ** 30;
/** Bytes read at once while hashing. */
export const READ_BYTES = 262_144;
/** Files in the program's own tree. */
export const MAX_PROGRAM_FILES = 50_000;
/** Levels of folders in the program's own tree. */
export const MAX_PROGRAM_DEPTH = 32;
