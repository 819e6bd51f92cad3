// The enforcer's files as its stand-in sees them: what the stores would write, to tidy up what they read, is dropped. The
// enforcer has one writer, itself.
import { type FileSystem, isErrno, type OpenFile } from '../../store/files.ts';

export function readingFiles(fs: FileSystem): FileSystem {
  const dropped = (): Promise<void> => Promise.resolve();
  return {
    open: async (path, how) => (how === 'read' ? await fs.open(path, 'read') : nowhere),
    readFile: (path, maxBytes) => fs.readFile(path, maxBytes),
    // A folder that was never made is an empty one.
    list: async (path) =>
      await fs.list(path).catch((error: unknown) => {
        if (isErrno(error, 'ENOENT')) return [];
        throw error;
      }),
    stat: (path) => fs.stat(path),
    rename: dropped,
    unlink: dropped,
    mkdir: dropped,
    syncDirectory: dropped,
  };
}

const nowhere: OpenFile = {
  append: () => Promise.resolve(),
  read: () => Promise.resolve(Buffer.alloc(0)),
  truncate: () => Promise.resolve(),
  size: () => Promise.resolve(0),
  sync: () => Promise.resolve(),
  close: () => Promise.resolve(),
};
