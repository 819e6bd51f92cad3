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

  const read = async (path: string, maxBytes: number): Promise<Buffer | undefined> => {
    try {
      return await fs.readFile(path, maxBytes);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw storeFault(error, `cannot read ${path}`);
    }
  };

  const readAll = async (): Promise<UseJournal['found']> => {
    await fs.mkdir(folder);
    const written = await read(snapshotPath, MAX_SNAPSHOT_BYTES);
    const journals = (await fs.list(folder)).filter((name) => name.startsWith('journal.'));
    if (written === undefined) {
      if (journals.length > 0) throw damaged(folder, 'there is a journal and no snapshot');
      return { snapshot: empty, since: [] };
    }
    const snapshot = parseSnapshot(written, snapshotPath);
    ({ generation } = snapshot);
    const lines = await read(journalPath(generation), MAX_JOURNAL_READ_BYTES);
    return { snapshot, since: parseJournal(lines ?? Buffer.alloc(0), journalPath(generation)) };
  };

  const found = await readAll();
  return {
    found,
    size: () => size,
    async append(records) {
      const line = seal(records);
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
      await writeDurably(fs, snapshotPath, seal({ format: 1, generation: next, ...snapshot }));
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

/** `<checksum> <length> <json>\n`: 8 hexadecimal digits each. The length says where a line ends, not its newline alone. */
function seal(value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  return Buffer.concat([Buffer.from(`${hex(crc32(json))} ${hex(json.length)} `), json, Buffer.from('\n')]);
}

const hex = (number: number): string => number.toString(16).padStart(8, '0');
const headerBytes = 18;
const newline = 0x0a;

/** What is sealed at `from`, and where it ends; undefined when it is not what was written. */
function unseal<T>(schema: z.ZodType<T>, bytes: Buffer, from: number): { value: T; end: number } | undefined {
  const header = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(bytes.toString('latin1', from, from + headerBytes));
  if (header === null) return undefined;
  const start = from + headerBytes;
  const end = start + Number.parseInt(header[2] ?? '', 16);
  const json = bytes.subarray(start, end);
  if (end > bytes.length || hex(crc32(json)) !== header[1]) return undefined;
  const { success, data } = schema.safeParse(JSON.parse(json.toString('utf8')));
  return success ? { value: data, end } : undefined;
}

function parseSnapshot(bytes: Buffer, path: string): z.infer<typeof snapshotSchema> {
  const found = unseal(snapshotSchema, bytes, 0);
  if (found !== undefined && found.end === bytes.length - 1 && bytes[found.end] === newline) return found.value;
  throw damaged(path, 'the snapshot is not what was written');
}

/** Up to the end, or to a last line that a power cut tore. */
function parseJournal(bytes: Buffer, path: string): UseRecord[] {
  const batch = z.array(recordSchema);
  const records: UseRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const found = unseal(batch, bytes, at);
    if (found === undefined) {
      for (let next = bytes.indexOf(newline, at); next !== -1; next = bytes.indexOf(newline, next + 1)) {
        if (unseal(batch, bytes, next + 1) === undefined) continue;
        throw damaged(path, `what is at byte ${at} is not what was written, and what follows is`);
      }
      return records;
    }
    records.push(...found.value);
    if (found.end < bytes.length && bytes[found.end] !== newline) {
      throw damaged(path, `what is at byte ${found.end} is not what was written`);
    }
    at = found.end + 1;
  }
  return records;
}

function damaged(path: string, what: string): Error {
  return usageErrors.error('USAGE_DAMAGED', `${path}: ${what}; grants with a limit of use are denied`);
}
