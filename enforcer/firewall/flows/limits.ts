// Numbers of ending flows.

/** Datagrams of a list (about 32 KiB, 130 flows each) taken in one turn of the event loop: under a millisecond. */
export const DATAGRAMS_PER_SLICE = 1;

/** Flows or sockets ended in one call into the kernel, about 5 µs each; an order for another peer waits that long. */
export const ENDED_PER_SLICE = 32;

/** Datagrams after which a list counts as endless; 10 million flows, more than any kernel tracks. */
export const MAX_LIST_DATAGRAMS = 100_000;
