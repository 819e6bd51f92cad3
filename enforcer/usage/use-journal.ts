// The counts on disk: a snapshot, and a journal of what was used since. A batch is one line with its checksum and is on
// disk before the next is begun, so only the last line can be torn by a power cut; damage anywhere else is damage.
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { type FileSystem, isErrno, type OpenFile } from '../../store/files.ts';
import { storeFault, writeDurably } from '../../store/sealed-file.ts';
import { usageErrors } from './errors.ts';
import { MAX_JOURNAL_READ_BYTES, MAX_SNAPSHOT_BYTES } from './limits.ts';

const key = z.string().max(512);
const subject = z.string().max(512);
const perMs = z.int().positive();
/** Trusted time of a use, milliseconds since the epoch; null when nobody knew the time. */
const at = z.int().nullable();

const recordSchema = z.discriminatedUnion('kind', [
  /** Uses spent so far. */
  z.strictObject({ kind: z.literal('uses'), key, subject, spent: z.int().positive() }),
  /** One more use. */
  z.strictObject({ kind: z.literal('rate'), key, subject, perMs, at }),
]);

const snapshotSchema = z.strictObject({
  format: z.literal(1),
  generation: z.int().positive(),
  uses: z.array(z.strictObject({ key, subject, spent: z.int().positive() })),
  rates: z.array(z.strictObject({ key, subject, perMs, at: z.array(at) })),
});

export type UseRecord = z.infer<typeof recordSchema>;
export type UseSnapshot = Omit<z.infer<typeof snapshotSchema>, 'format' | 'generation'>;

export interface UseJournal {
  /** The counts as they were found. */
  readonly found: { readonly snapshot: UseSnapshot; readonly since: readonly UseRecord[] };
  /** On disk when it resolves. After a failure only `fold` helps. One call at a time. */
  append(records: readonly UseRecord[]): Promise<void>;
  /** Writes a new snapshot and begins a new journal. One call at a time. */
  fold(snapshot: UseSnapshot): Promise<void>;
  /** Bytes of the journal. */
  size(): number;
}

const empty: UseSnapshot = { uses: [], rates: [] };

/** Throws USAGE_DAMAGED when what is there cannot be believed, or the store's codes when it cannot be read. */
export async function openUseJournal(fs: FileSystem, folder: string): Promise<UseJournal> {
  const snapshotPath = join(folder, 'counts');
  const journalPath = (generation: number): string => join(folder, `journal.${generation}`);
  let generation = 0;
  let file: OpenFile | undefined;
  let size = 0;

  const read = async (path: string, maxBytes: number): Promise<string | undefined> => {
    try {
      return (await fs.readFile(path, maxBytes)).toString('utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw storeFault(error, `cannot read ${path}`);
    }
  };

  const readAll = async (): Promise<UseJournal['found']> => {
    await fs.mkdir(folder);
    const text = await read(snapshotPath, MAX_SNAPSHOT_BYTES);
    const journals = (await fs.list(folder)).filter((name) => name.startsWith('journal.'));
    if (text === undefined) {
      if (journals.length > 0) throw damaged(folder, 'there is a journal and no snapshot');
      return { snapshot: empty, since: [] };
    }
    const snapshot = parse(snapshotSchema, text.trimEnd());
    if (snapshot === undefined) throw damaged(snapshotPath, 'the snapshot is not what was written');
    ({ generation } = snapshot);
    const lines = (await read(journalPath(generation), MAX_JOURNAL_READ_BYTES)) ?? '';
    return { snapshot, since: parseJournal(lines, journalPath(generation)) };
  };

  const found = await readAll();
  return {
    found,
    size: () => size,
    async append(records) {
      const line = Buffer.from(`${seal(JSON.stringify(records))}\n`);
      try {
        if (file === undefined) {
          file = await fs.open(journalPath(generation), 'append');
          await fs.syncDirectory(folder);
        }
        await file.append(line);
        fs.point?.('use-appended');
        await file.sync();
        size += line.length;
      } catch (error) {
        throw storeFault(error, `cannot write ${journalPath(generation)}`);
      }
    },
    async fold(snapshot) {
      const next = generation + 1;
      const text = seal(JSON.stringify({ format: 1, generation: next, ...snapshot }));
      await writeDurably(fs, snapshotPath, Buffer.from(`${text}\n`));
      // From here on the journal of before counts for nothing.
      generation = next;
      size = 0;
      const before = file;
      file = undefined;
      await before?.close();
      for (const name of await fs.list(folder)) if (name.startsWith('journal.')) await fs.unlink(join(folder, name));
    },
  };
}

function seal(json: string): string {
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}`;
}

/** undefined when the checksum or the shape is another. */
function parse<T>(schema: z.ZodType<T>, line: string): T | undefined {
  const json = line.slice(9);
  if (line.slice(0, 9) !== `${crc32(json).toString(16).padStart(8, '0')} `) return undefined;
  const { success, data } = schema.safeParse(JSON.parse(json));
  return success ? data : undefined;
}

function parseJournal(text: string, path: string): UseRecord[] {
  const batch = z.array(recordSchema);
  const batches = text.split('\n').map((line) => parse(batch, line));
  const torn = batches.indexOf(undefined);
  if (torn !== -1 && batches.slice(torn).some((records) => records !== undefined)) {
    throw damaged(path, `line ${torn + 1} is not what was written, and lines after it are`);
  }
  return batches.flatMap((records) => records ?? []);
}

function damaged(path: string, what: string): Error {
  return usageErrors.error('USAGE_DAMAGED', `${path}: ${what}; grants with a limit of use are denied`);
}
