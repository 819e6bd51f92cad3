// Named bounds of the stand-in, each with its unit and reason.

/** Milliseconds between two beats of the enforcer's event loop. */
export const BEAT_MS = 250;
/**
 * Beats missed in a row after which an enforcer that lives is hung: 3 s. The largest bundle compiles in about one second, and a
 * stop of an emergency should not wait longer than a person who presses the button twice.
 */
export const MISSED_BEATS = 12;
/** Milliseconds between two tries to reach the stand-in, and to be heard by it at all. */
export const RECONNECT_MS = 1_000;
/** Bytes of one message between the two: that of the most peers. */
export const MAX_MESSAGE_BYTES = 512 * 1024;
/** Bytes that the stand-in may leave unread before the enforcer gives the connection up; a hung one must not cost memory. */
export const MAX_UNREAD_BYTES = 1024 * 1024;
/** Milliseconds between two looks at who has an open flow: not every beat, it asks every connection. */
export const PEERS_MS = 1_000;
/** Peers with an allowed flow that are told; a cell has tens. More are not held. */
export const MAX_HELD = 1_024;

/** Milliseconds that a held peer may be without a connection: masters reconnect within seconds, a rebooting HMI takes a minute. */
export const HELD_IDLE_MS = 2 * 60_000;
/** Milliseconds after the enforcer's death when nobody is held any more: as long as the states of devices keep anybody trusted. */
export const HELD_MS = 24 * 3_600_000;

/** Milliseconds between two looks at the files of the enforcer. */
export const FOLLOW_MS = 250;

/** Milliseconds for which events are gathered into one file. */
export const GATHER_MS = 200;
/** Bytes of one file of events, and of all that wait for the enforcer: days of denials, which come as counts. */
export const MAX_FILE_BYTES = 64 * 1024;
export const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** Files that wait: the folder is listed for each one written. */
export const MAX_WAITING_FILES = 2_048;
/** Milliseconds between two looks of the enforcer for events that it has not taken over yet. */
export const TAKE_OVER_MS = 5_000;
