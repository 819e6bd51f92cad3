// feeds/feeds.yaml: until when each list of feeds/*.netset may be believed, and what no list may name.
import { z } from 'zod';
import { cidr, id, until } from './scalars.ts';

export const feedsSchema = z.strictObject({
  /** Beside the inventory: the control plane, resolvers, whatever has to stay reachable. */
  protected: z.array(cidr).max(1_000).default([]),
  feeds: z
    .record(
      id,
      z.strictObject({
        expires: until,
        /** Where it comes from, for people. */
        source: z.string().max(512).optional(),
      }),
    )
    .default({}),
});
