// What was noticed since somebody last looked: foreign commits, told one by one while they are few, and counted exactly
// however many they are.
import type { Author } from './author.ts';
import type { Commit } from './commits.ts';

/** Commits that are kept in full until the next look; further ones are counted. */
const MAX_KEPT = 64;
/** Sockets whose further commits are told apart, so that ours are not counted among foreign ones. */
const MAX_SOCKETS = 4_096;

export interface ForeignCommit extends Commit {
  readonly author: Author;
}

/** What a look at the table is for. */
export interface Notice {
  /** Commits to the table, the first few, those of this process among them. */
  readonly commits: readonly ForeignCommit[];
  /** Commits to the table beyond them, by whom. */
  readonly more: readonly { readonly pid: number; readonly port: number; readonly count: number }[];
  /** The kernel had to drop messages: something happened that nobody can tell. */
  readonly overrun: boolean;
  /** Commits of which the kernel could not tell anything, ours among them. */
  readonly lost: number;
  /** Looks whatever was noticed. */
  readonly always: boolean;
}

export class Notices {
  #commits: ForeignCommit[] = [];
  #more = new Map<string, { readonly pid: number; readonly port: number; count: number }>();
  #lost = 0;
  #overrun = false;

  add(commit: Commit, authorOf: (commit: Commit) => Author): void {
    if (this.#commits.length < MAX_KEPT) {
      this.#commits.push({ ...commit, author: authorOf(commit) });
      return;
    }
    const { pid, port } = this.#more.size < MAX_SOCKETS ? commit : { pid: 0, port: 0 };
    const key = `${pid} ${port}`;
    const known = this.#more.get(key);
    if (known === undefined) this.#more.set(key, { pid, port, count: 1 });
    else known.count += 1;
  }

  lose(count: number): void {
    this.#lost += count;
  }

  overrun(): void {
    this.#overrun = true;
  }

  get any(): boolean {
    return this.#commits.length > 0 || this.#lost > 0 || this.#overrun;
  }

  /** Empty afterwards. */
  take(always: boolean): Notice {
    const notice = {
      commits: this.#commits,
      more: [...this.#more.values()],
      lost: this.#lost,
      overrun: this.#overrun,
      always,
    };
    this.#commits = [];
    this.#more = new Map();
    this.#lost = 0;
    this.#overrun = false;
    return notice;
  }
}
