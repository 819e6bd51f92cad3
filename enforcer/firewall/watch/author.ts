// Who made a commit, as far as /proc still says: the process may be gone, and what it says of itself is its own choice.
import { readFileSync } from 'node:fs';
import { printable } from './commits.ts';

export interface Author {
  /** Command line, arguments with a space between, at most 256 characters; empty when it is gone. */
  readonly command: string;
  /** Real user; undefined when it is gone. */
  readonly uid: number | undefined;
}

const MAX_COMMAND = 256;
const gone: Author = { command: '', uid: undefined };

/** Reads at once and without waiting: most of those who load rules end in the same millisecond. */
export function authorOf(pid: number, process: string): Author {
  try {
    // In a container numbers are others: only a process of that name is the one.
    if (printable(text(`/proc/${pid}/comm`).trimEnd()) !== process) return gone;
    const uid = /^Uid:\s+(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1];
    const command = printable(text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()).slice(0, MAX_COMMAND);
    return { command, uid: uid === undefined ? undefined : Number(uid) };
  } catch {
    return gone;
  }
}

const text = (path: string): string => readFileSync(path, 'utf8');
