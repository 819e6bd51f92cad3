// What an edge refuses of a word about island mode that somebody on the device says.
import { errorTable } from '../../runtime/errors.ts';

export const islandErrors = errorTable({
  ISLAND_ORDERED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Have it taken back by an order: edgeward site rejoin; what the control plane ordered is not left locally.',
  },
  ISLAND_NOT_ENFORCED: {
    status: 'UNAVAILABLE',
    remedy: 'See the cause in the log of the edge and repeat the command; a part of the edge has not taken it yet.',
  },
  ISLAND_REQUEST_INVALID: { status: 'INVALID_ARGUMENT', remedy: 'Say on or off, who asks, and why.' },
});
