// The stand-in of a dead enforcer, and what the enforcer does for it while it lives.
export { type Beat, type BeatParts, createBeat, type HeldPeer } from './beat.ts';
export { standbyErrors } from './errors.ts';
export { createTakeOver, type EventFiles, openEventFiles } from './event-files.ts';
export { createHeldPeers, type HeldPeers } from './held-peers.ts';
export { FOLLOW_MS, MAX_HELD } from './limits.ts';
export { readingFiles } from './reading-files.ts';
export { createWatch, type Watch } from './watch.ts';
