// A disk in memory that forgets what was not synced: the adversary of everything that claims to be durable.
// Contents survive a power cut only up to the last `sync` of the file (plus a random part of later writes, torn or with
// holes); names only up to the last `syncDirectory` (plus a random subset of later changes). POSIX promises no more.
import { basename, dirname, normalize } from 'node:path';
import { errno, privateDirectoryMode, privateFileMode } from './files.ts';
import type { FileInfo, FileSystem, OpenFile, OpenMode } from './files.ts';
import { Inode } from './simulated-inode.ts';

/** What every call of a process answers after the power was cut under it. */
export class PowerCutError extends Error {
  override readonly name = 'PowerCutError';
  constructor(at: string) {
    super(`the power was cut (${at})`);
  }
}

/** Names of all folders: path of folder → name → inode. */
type Names = Map<string, Map<string, Inode>>;

/** One change of names that is atomic on disk; `undefined` removes. */
interface NameChange {
  readonly sets: readonly { readonly folder: string; readonly name: string; readonly inode: Inode | undefined }[];
}

export interface SimulatedOptions {
  /** Same seed, same losses. Default 1. */
  readonly seed?: number;
  readonly nowMs?: () => number;
}

export class SimulatedFiles implements FileSystem {
  readonly #random: () => number;
  readonly #options: SimulatedOptions;
  #durable: Names;
  #names: Names;
  #pending: NameChange[] = [];
  #dead: string | undefined;
  #freeBytes = Infinity;
  #syncFailures = 0;
  readonly #cuts = new Map<string, number>();
  #cutAfter = Infinity;
  /** Calls so far that could change the disk; a test can cut after each in turn. */
  operations = 0;

  constructor(options: SimulatedOptions = {}) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
    this.#durable = new Map([['/', new Map()]]);
    this.#names = new Map([['/', new Map()]]);
  }

  // ---- what a test does to the disk ------------------------------------------------------------------------------

  /** From now on every call rejects with PowerCutError; `restart` gives the disk as the next boot finds it. */
  powerCut(at = 'powerCut'): void {
    if (this.#dead !== undefined) return;
    this.#dead = at;
  }

  /** Cuts the power when the code reaches `point(name)` for the `occurrence`-th time (1 is the next). */
  cutAt(name: string, occurrence = 1): void {
    this.#cuts.set(name, occurrence);
  }

  /** Cuts the power in the middle of the `count`-th changing call from now; a write in progress may be torn. */
  cutAfter(count: number): void {
    this.#cutAfter = this.operations + count;
  }

  /** Writes beyond `bytes` more fail with ENOSPC, after a part was written. */
  setFreeBytes(bytes: number): void {
    this.#freeBytes = bytes;
  }

  /** The next `count` syncs fail with EIO and, as on Linux, drop what they should have made durable. */
  failSyncs(count: number): void {
    this.#syncFailures = count;
  }

  get cut(): boolean {
    return this.#dead !== undefined;
  }

  /** Flips one bit of a file, durably: decay, or an intruder. */
  flipBit(path: string, bit: number): void {
    this.#inode(path).flipBit(bit);
  }

  /** The disk after the power came back. The old object stays dead, so that tasks of the old process cannot reach it. */
  restart(): SimulatedFiles {
    this.powerCut('restart');
    const next = new SimulatedFiles({ ...this.#options, seed: Math.floor(this.#random() * 2 ** 31) });
    const names = this.#durable;
    for (const change of this.#pending) if (this.#random() < 0.5) applyNames(names, change);
    const survivors = new Map<Inode, Inode>();
    next.#durable = mapInodes(names, (inode) => {
      const known = survivors.get(inode) ?? inode.afterPowerCut(this.#random);
      survivors.set(inode, known);
      return known;
    });
    next.#names = mapInodes(next.#durable, (inode) => inode);
    next.#freeBytes = this.#freeBytes;
    return next;
  }

  // ---- FileSystem ------------------------------------------------------------------------------------------------

  point(name: string): void {
    this.#alive();
    const left = this.#cuts.get(name);
    if (left === undefined) return;
    if (left > 1) {
      this.#cuts.set(name, left - 1);
      return;
    }
    this.powerCut(name);
    throw new PowerCutError(name);
  }

  async open(path: string, how: OpenMode, mode: number = privateFileMode): Promise<OpenFile> {
    this.#alive();
    const found = this.#find(path);
    if (found?.kind === 'directory') throw errno('EISDIR', 'illegal operation on a directory', path);
    if (found !== undefined && how === 'create') throw errno('EEXIST', 'file already exists', path);
    if (found !== undefined) return this.#handle(found, path, how);
    if (how === 'read') throw errno('ENOENT', 'no such file or directory', path);
    this.#folder(dirname(path), path);
    this.#operation('open');
    const inode = new Inode('file', mode);
    this.#change([this.#entry(path, inode)]);
    return this.#handle(inode, path, how);
  }

  async readFile(path: string, maxBytes: number): Promise<Buffer> {
    this.#alive();
    const { content } = this.#inode(path);
    if (content.length > maxBytes) throw errno('EFBIG', `file is larger than ${maxBytes} bytes`, path);
    return content.bytes();
  }

  async rename(from: string, to: string): Promise<void> {
    this.#alive();
    const inode = this.#inode(from);
    if (inode.kind === 'directory') throw errno('ENOTSUP', 'the simulation renames files only', from);
    this.#folder(dirname(to), to);
    if (this.#find(to)?.kind === 'directory') throw errno('EISDIR', 'illegal operation on a directory', to);
    const sets = [this.#entry(from, undefined), this.#entry(to, inode)];
    this.#operation('rename', () => this.#change(sets));
    this.#change(sets);
  }

  async unlink(path: string): Promise<void> {
    this.#alive();
    if (this.#inode(path).kind === 'directory') throw errno('EISDIR', 'illegal operation on a directory', path);
    const sets = [this.#entry(path, undefined)];
    this.#operation('unlink', () => this.#change(sets));
    this.#change(sets);
  }

  /** As nodeFiles: makes parents, and the new names are durable. */
  async mkdir(path: string, mode: number = privateDirectoryMode): Promise<void> {
    this.#alive();
    const target = absolute(path);
    if (target === '/') return;
    const found = this.#find(target);
    if (found?.kind === 'file') throw errno('EEXIST', 'file already exists', path);
    if (found !== undefined) return;
    await this.mkdir(dirname(target), mode);
    this.#operation('mkdir');
    this.#names.set(target, new Map());
    this.#change([this.#entry(target, new Inode('directory', mode))]);
    await this.syncDirectory(dirname(target));
  }

  async list(path: string): Promise<string[]> {
    this.#alive();
    return [...this.#folder(absolute(path), path).keys()].sort();
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    this.#alive();
    const inode = this.#find(path);
    if (inode === undefined) return undefined;
    return {
      size: inode.content.length,
      mode: inode.mode,
      uid: 0,
      kind: inode.kind,
      modifiedMs: this.#options.nowMs?.() ?? 0,
    };
  }

  async syncDirectory(path: string): Promise<void> {
    this.#alive();
    const folder = absolute(path);
    this.#folder(folder, path);
    this.#operation('syncDirectory', () => this.#syncNames(folder));
    this.#failSync(path);
    this.#syncNames(folder);
  }

  #syncNames(folder: string): void {
    // A change that another folder shares is durable as a whole, with all earlier changes of the names it touches.
    const touched = new Set<string>();
    const durable = new Set<NameChange>();
    for (const change of this.#pending.toReversed()) {
      const keys = change.sets.map((set) => `${set.folder}\0${set.name}`);
      if (!change.sets.some((set) => set.folder === folder) && !keys.some((key) => touched.has(key))) continue;
      durable.add(change);
      for (const key of keys) touched.add(key);
    }
    for (const change of this.#pending) if (durable.has(change)) applyNames(this.#durable, change);
    this.#pending = this.#pending.filter((change) => !durable.has(change));
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  #handle(inode: Inode, path: string, how: OpenMode): OpenFile {
    let open = true;
    const use = (): void => {
      this.#alive();
      if (!open) throw errno('EBADF', 'bad file descriptor', path);
    };
    const writable = (): void => {
      use();
      if (how === 'read') throw errno('EBADF', 'file is open for reading', path);
    };
    return {
      append: async (bytes) => {
        writable();
        const room = Math.min(bytes.length, this.#freeBytes);
        const change = { at: inode.content.length, bytes: Buffer.from(bytes.subarray(0, room)) };
        this.#operation('append', () => inode.change(change));
        inode.change(change);
        this.#freeBytes -= room;
        if (room < bytes.length) throw errno('ENOSPC', 'no space left on device', path);
      },
      read: async (position, length) => {
        use();
        return inode.content.read(position, position + length);
      },
      truncate: async (size) => {
        writable();
        this.#operation('truncate', () => inode.change({ truncate: size }));
        inode.change({ truncate: size });
      },
      size: async () => {
        use();
        return inode.content.length;
      },
      sync: async () => {
        use();
        this.#operation('sync', () => inode.sync());
        if (this.#syncFailures > 0) inode.forgetPending();
        this.#failSync(path);
        inode.sync();
      },
      close: async () => {
        // As close(2): what is written stays as undecided as it was.
        open = false;
      },
    };
  }

  #alive(): void {
    if (this.#dead !== undefined) throw new PowerCutError(this.#dead);
  }

  /** Counts a changing call; when the power is cut in it, `effect` may have happened although nobody was told. */
  #operation(name: string, effect?: () => void): void {
    this.operations++;
    if (this.operations < this.#cutAfter) return;
    if (this.#random() < 0.5) effect?.();
    this.powerCut(name);
    throw new PowerCutError(name);
  }

  #failSync(path: string): void {
    if (this.#syncFailures === 0) return;
    this.#syncFailures--;
    throw errno('EIO', 'i/o error, fsync', path);
  }

  #change(sets: NameChange['sets']): void {
    const nameChange = { sets };
    applyNames(this.#names, nameChange);
    this.#pending.push(nameChange);
  }

  #entry(path: string, inode: Inode | undefined): NameChange['sets'][number] {
    const full = absolute(path);
    return { folder: dirname(full), name: basename(full), inode };
  }

  #folder(folder: string, path: string): Map<string, Inode> {
    const found = this.#names.get(absolute(folder));
    if (found === undefined) throw errno('ENOENT', 'no such file or directory', path);
    return found;
  }

  #find(path: string): Inode | undefined {
    const full = absolute(path);
    if (full === '/') return rootFolder;
    return this.#names.get(dirname(full))?.get(basename(full));
  }

  #inode(path: string): Inode {
    const found = this.#find(path);
    if (found === undefined) throw errno('ENOENT', 'no such file or directory', path);
    return found;
  }
}

const rootFolder = new Inode('directory', 0o755);

function absolute(path: string): string {
  const full = normalize(path.startsWith('/') ? path : `/${path}`);
  return full.length > 1 && full.endsWith('/') ? full.slice(0, -1) : full;
}

function applyNames(names: Names, nameChange: NameChange): void {
  for (const { folder, name, inode } of nameChange.sets) {
    const entries = names.get(folder) ?? new Map<string, Inode>();
    names.set(folder, entries);
    if (inode === undefined) entries.delete(name);
    else entries.set(name, inode);
    if (inode?.kind === 'directory') {
      const path = folder === '/' ? `/${name}` : `${folder}/${name}`;
      if (!names.has(path)) names.set(path, new Map());
    }
  }
}

function mapInodes(names: Names, map: (inode: Inode) => Inode): Names {
  return new Map(
    [...names].map(([folder, entries]) => [folder, new Map([...entries].map(([name, inode]) => [name, map(inode)]))]),
  );
}

/** Small, fast, repeatable (mulberry32); nothing here is secret. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
