// One in so many, drawn by chance that no client can foresee: which allowed requests are recorded whole.

/** `random`: unpredictable bytes, as node:crypto randomBytes. Draws ahead, because a call to the system for each would cost more than all the rest. */
export function createDraw(random: (bytes: number) => Uint8Array): (oneIn: number) => boolean {
  const words = 1_024;
  let drawn: Uint32Array = new Uint32Array(0);
  let next = 0;
  return (oneIn) => {
    if (next === drawn.length) {
      drawn = new Uint32Array(Uint8Array.from(random(words * 4)).buffer);
      next = 0;
    }
    return (drawn[next++] ?? 0) < 2 ** 32 / oneIn;
  };
}
