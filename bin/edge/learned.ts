// The learned catalogue of this edge: kept over restarts, shown to whoever writes the policy (edgeward edge learned).
import { z } from 'zod';
import {
  createLearner,
  type Learner,
  proposeFiles,
  type ProposedFile,
  readLearned,
  writeLearned,
} from '../../enforcer/proxy/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { isAbort, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import type { EdgeConfig } from './config.ts';

/** Milliseconds between writes of what was learned; what is lost with a crash is learned again. */
const saveMs = 60_000;

export interface LearnedParts {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly config: Pick<EdgeConfig, 'proxies'>;
  readonly slice: () => Slice | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LearnedRequest {
  /** Absent: all. */
  readonly interface?: string | undefined;
  readonly forget: boolean;
}

export interface LearnedDocument {
  readonly since: number;
  readonly interfaces: readonly { readonly name: string; readonly messages: number; readonly operations: number }[];
  /** Files of a policy repository; empty when nothing was seen. */
  readonly files: readonly ProposedFile[];
}

export interface Learned {
  readonly saw: Learner['saw'];
  readonly show: (request: LearnedRequest) => LearnedDocument;
  readonly task: Task;
}

export async function openLearned(parts: LearnedParts): Promise<Learned> {
  const { fs, stateDir, config, slice, now, clock, log } = parts;
  const before = await readLearned(fs, stateDir).catch((error: unknown) => {
    log.error({ err: error }, 'what was learned from traffic cannot be read: it is learned anew');
    return undefined;
  });
  const entryOf = (name: string) => {
    const current = slice();
    return current?.interfaces.find((entry) => entry.name === name && entry.device === current.device);
  };
  const asked = new Set(config.proxies.filter(({ learn }) => learn).map((proxy) => proxy.interface));
  const learner = createLearner((name) => asked.has(name) || (entryOf(name)?.observeUntil ?? 0) > now(), now, before);
  const saved = (): Promise<void> =>
    writeLearned(fs, stateDir, { since: learner.since(), interfaces: learner.learned() });
  let messages = countOf(learner);

  return {
    saw: learner.saw,
    show: ({ interface: name, forget }) => {
      const chosen = learner.learned().filter((entry) => name === undefined || entry.name === name);
      const document = {
        since: learner.since(),
        interfaces: chosen.map((entry) => ({
          name: entry.name,
          messages: entry.messages(),
          operations: entry.operations.size,
        })),
        files: proposeFiles(
          chosen,
          (of) => entryOf(of) ?? { device: 'this-device', port: 1 },
          day(learner.since()),
          day(now()),
        ),
      };
      if (forget) learner.forget(name);
      return document;
    },
    task: async (signal) => {
      try {
        while (!signal.aborted) {
          await clock.sleep(saveMs, signal);
          if (countOf(learner) === messages) continue;
          messages = countOf(learner);
          await saved().catch((error: unknown) =>
            log.error({ err: error }, 'what was learned from traffic is not saved'),
          );
        }
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
        if (countOf(learner) !== messages) await saved();
      }
    },
  };
}

const countOf = (learner: Learner): number => learner.learned().reduce((sum, entry) => sum + entry.messages(), 0);

const day = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');

/** As it comes over the local socket. */
export const learnedRequest = z.strictObject({ interface: z.string().max(64).optional(), forget: z.boolean() });
