// Answers to what one side publishes go out in the order in which it published (MQTT 5.0 and 3.1.1, section 4.6), also where
// some come from the server and some from here: a refusal waits for the answers before it.

export interface AnswerOrder {
  readonly size: () => number;
  readonly has: (packetId: number) => boolean;
  /** It went on: the server will answer. */
  readonly forwarded: (packetId: number) => void;
  /** True when an answer of our own need not wait. */
  readonly isEmpty: () => boolean;
  /** Our answer to it, for when its turn comes. */
  readonly refused: (packetId: number, answer: Buffer) => void;
  /** Our answers whose turn comes with the server's to this packet; undefined when no answer to it is due. */
  readonly after: (packetId: number) => readonly Buffer[] | undefined;
  /** The server's answer and those after it are out. */
  readonly answered: (packetId: number) => void;
}

interface Entry {
  readonly packetId: number;
  /** Undefined where it comes from the server. */
  readonly answer?: Buffer;
}

export function createAnswerOrder(): AnswerOrder {
  const entries: Entry[] = [];
  const indexOf = (packetId: number): number =>
    entries.findIndex((entry) => entry.packetId === packetId && entry.answer === undefined);
  const after = (index: number): readonly Buffer[] => {
    // Behind an entry that is not the first, they still wait for the first.
    if (index !== 0) return [];
    const next = entries.findIndex(({ answer }, at) => at > 0 && answer === undefined);
    return entries.slice(1, next === -1 ? undefined : next).flatMap(({ answer }) => answer ?? []);
  };
  return {
    size: () => entries.length,
    has: (packetId) => entries.some((entry) => entry.packetId === packetId),
    forwarded: (packetId) => void entries.push({ packetId }),
    isEmpty: () => entries.length === 0,
    refused: (packetId, answer) => void entries.push({ packetId, answer }),
    after(packetId) {
      const index = indexOf(packetId);
      return index === -1 ? undefined : after(index);
    },
    answered(packetId) {
      const index = indexOf(packetId);
      if (index !== -1) entries.splice(index, 1 + after(index).length);
    },
  };
}
