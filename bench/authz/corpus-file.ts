// The corpus between processes: requests one after the other with their lengths, and what each has to be answered.
import { readFileSync, writeFileSync } from 'node:fs';

/** What an answer has to say; compared in full. */
export interface Expected {
  readonly allow: boolean;
  /** Device that the identity headers name; empty for nobody. */
  readonly subject: string;
  /** Rule that the identity headers name. */
  readonly rule: string;
}

export interface Corpus {
  readonly requests: readonly Uint8Array[];
  readonly expected: readonly Expected[];
  /** For each request, places in it of eight digits that decide nothing: new in every sending (load.ts). */
  readonly marks: readonly (readonly number[])[];
}

/** Writes `<path>.requests` and `<path>.expected`. */
export function writeCorpus(path: string, { requests, expected, marks }: Corpus): void {
  const lengths = Buffer.alloc(4 + requests.length * 4);
  lengths.writeUInt32LE(requests.length);
  for (const [index, { length }] of requests.entries()) lengths.writeUInt32LE(length, 4 + index * 4);
  writeFileSync(`${path}.requests`, Buffer.concat([lengths, ...requests]));
  writeFileSync(`${path}.expected`, JSON.stringify({ expected, marks }));
}

export function readCorpus(path: string): Corpus {
  const bytes = readFileSync(`${path}.requests`);
  const count = bytes.readUInt32LE();
  let at = 4 + count * 4;
  const requests = Array.from({ length: count }, (_, index) => {
    const length = bytes.readUInt32LE(4 + index * 4);
    at += length;
    return bytes.subarray(at - length, at);
  });
  const beside = JSON.parse(readFileSync(`${path}.expected`, 'utf8')) as Pick<Corpus, 'expected' | 'marks'>;
  if (beside.expected.length !== count || at !== bytes.length) throw new Error(`${path} is not a whole corpus`);
  return { requests, ...beside };
}
