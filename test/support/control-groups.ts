// Control groups of version 2 for tests: made below the root of the mount, wherever that is, and removed afterwards.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where they are mounted, when one can be made there. */
export function writableGroups(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const root = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
  if (root === undefined) return undefined;
  const probe = join(root, `edgeward-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return root;
  } catch {
    return undefined;
  }
}

export interface ControlGroups extends Disposable {
  readonly root: string;
  make(path: string): void;
  remove(path: string): void;
  /** Into the group; '' is the root. Sockets that the program has stay where they were made. */
  move(pid: number | undefined, path: string): void;
}

export function controlGroups(): ControlGroups {
  const root = writableGroups();
  if (root === undefined) throw new Error('no writable control groups of version 2');
  const made = new Set<string>();
  const remove = (path: string): void => {
    rmdirSync(join(root, path));
    made.delete(path);
  };
  const move: ControlGroups['move'] = (pid, path) => writeFileSync(join(root, path, 'cgroup.procs'), String(pid));
  return {
    root,
    make: (path) => {
      mkdirSync(join(root, path));
      made.add(path);
    },
    remove,
    move,
    [Symbol.dispose]: () => {
      for (const path of [...made].reverse()) {
        const inside = readFileSync(join(root, path, 'cgroup.procs'), 'utf8')
          .split('\n')
          .filter(Boolean);
        for (const pid of inside) move(Number(pid), '');
        remove(path);
      }
    },
  };
}
