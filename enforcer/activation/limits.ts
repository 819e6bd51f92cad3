// Named bounds of activation, each with its unit and reason.

/** Bytes of a stored manifest JWS: the bound that openBundle has, in bytes. */
export const MAX_MANIFEST_BYTES = 256 * 1024;
/** Bytes of a stored chunk: the wire's bound; openBundle checks the manifest's size of each. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Bytes of floor.json and clock.json. */
export const MAX_MARK_BYTES = 4096;

/** Bytes of orders.json: one verdict of 300 bytes for each of 50,000 devices. */
export const MAX_ORDERS_BYTES = 16 * 1024 * 1024;
/** Bytes of a stored JWS of states or revocations: the wire's bound. */
export const MAX_STATE_BYTES = 3 * 1024 * 1024;
/** Orders in one log: more than fit a message of 3 MiB are sent in turns. */
export const MAX_ORDERS_PER_LOG = 8192;
/** Devices or serials in one signed state. */
export const MAX_STATE_ENTRIES = 50_000;
/** Characters of an order's reason that are kept. */
export const MAX_REASON_CHARACTERS = 512;
/** Milliseconds after which signed states or revocations count as old: a day, like a bundle's soft expiry. */
export const STATE_MAX_AGE_MS = 24 * 3_600_000;

/** Milliseconds by which the floor moves before it is written: a write every minute would wear out flash for nothing. */
export const FLOOR_STEP_MS = 5 * 60_000;
/** Milliseconds by which a signed time may run ahead of what this boot has counted since the last one: no oscillator is that wrong. */
export const MAX_TIME_JUMP_MS = 3_600_000;
/** Milliseconds by which the local clock may differ from trusted time before it is reported. */
export const MAX_LOCAL_SKEW_MS = 5 * 60_000;
/** Milliseconds a bundle may be dated ahead of trusted time: what the control plane allows a publisher's clock. */
export const FUTURE_BUNDLE_MS = 5 * 60_000;
/** Subjects whose state is kept as it was made; more are made anew. */
export const MAX_KEPT_SUBJECTS = 16_384;

/** Devices that one order names: a site; more are more orders. 64 KiB of ids. */
export const MAX_ORDER_DEVICES = 1_000;
/** Milliseconds that an ordered block lasts at most: longer than a week is a rule of the policy. */
export const MAX_BLOCK_MS = 7 * 24 * 3_600_000;
/** Addresses that orders block here at once; the control plane keeps below it. */
export const MAX_ORDERED_BLOCKS = 4_096;
