// A listing of the kernel's table that can be compared. Its hash tables grow behind a large load, and a listing made
// meanwhile can miss elements (rhashtable walks say nothing of it): what is really missing is missing in every one.
import { REREADS } from './limits.ts';

export interface Reading<Read> {
  readonly listing: Read;
  /** In words; undefined when the table is as it should be. */
  readonly difference: string | undefined;
}

/** The listing, read again while the only fault is an element that it lacks. Rejects as `read` does. */
export async function settledReading<Read>(
  first: Read,
  read: () => Promise<Read>,
  differenceOf: (listing: Read) => string | undefined,
): Promise<Reading<Read>> {
  let listing = first;
  let difference = differenceOf(listing);
  for (let again = 0; again < REREADS && difference?.includes(' lacks ') === true; again += 1) {
    listing = await read();
    difference = differenceOf(listing);
  }
  return { listing, difference };
}
