// One plan after the other. What is to be in force is read when a plan's turn comes, not when it was asked for: otherwise
// new device states that arrive while a new bundle is being put in force would put the old bundle's rules back.

/** Puts rules made from `source` in force; may find that nothing changed, unless `always`. Rejects when it cannot. */
export type Put<Source> = (source: Source | undefined, always: boolean) => Promise<void>;

export interface Replan<Source> {
  /** Puts a new source in force; when that fails the one before stays. */
  replace(source: Source): Promise<void>;
  /** The same source anew. Coalesced, never rejects; what fails goes to `failed`. */
  refresh(always: boolean): void;
}

export function createReplan<Source>(put: Put<Source>, failed: (error: unknown) => void): Replan<Source> {
  let inForce: Source | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let asked: { always: boolean } | undefined;
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    replace: (source) =>
      inTurn(async () => {
        await put(source, true);
        inForce = source;
      }),
    refresh(always) {
      if (asked !== undefined) {
        asked.always ||= always;
        return;
      }
      const mine = { always };
      asked = mine;
      void inTurn(async () => {
        asked = undefined;
        await put(inForce, mine.always);
      }).catch(failed);
    },
  };
}
