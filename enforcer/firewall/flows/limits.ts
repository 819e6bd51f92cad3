// Numbers of ending flows.

/** Milliseconds of work between two turns of the event loop: an order for another peer waits that long. */
export const SLICE_MS = 2;

/** Flows or sockets ended in one call into the kernel, 5 to 20 µs each. */
export const ENDED_PER_CALL = 64;

/** Datagrams after which a list counts as endless; 10 million flows, more than any kernel tracks. */
export const MAX_LIST_DATAGRAMS = 100_000;

/**
 * How long the kernel remembers that it accepted a packet of an address. Also the clock: what is left of it says when
 * that was, so rules and readers have to use the same number.
 */
export const SEEN_TIMEOUT_MS = 400 * 86_400_000;

/** Milliseconds by which the kernel's own timer is coarse: a tick, 10 ms where it is slowest (CONFIG_HZ=100). */
export const RESOLUTION_MS = 10;
