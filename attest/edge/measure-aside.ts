// Measuring on a thread of its own: thousands of files are read and hashed while the enforcement points go on answering.
// This file is its own thread. A thread is made for every measurement; what it measured before it cannot remember.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Place } from '../../runtime/errors.ts';
import { CodedError } from '../../runtime/errors.ts';
import { attestError } from '../errors.ts';
import { nodeMeasuredFiles } from './files.ts';
import { measureExecutables, measureProgram, type ProgramRoot } from './measure.ts';

export interface Measurable {
  /** Folders and files that the enforcer consists of. */
  readonly program: readonly ProgramRoot[];
  /** Absolute paths from the configuration. */
  readonly executables: readonly string[];
}

export interface Measured {
  /** Hex SHA-256, see `measureProgram`. */
  readonly program: string;
  /** Path to SHA-256 or `missing`. */
  readonly executables: Readonly<Record<string, string>>;
}

type Answer =
  | { readonly measured: Measured }
  | { readonly refused: { readonly message: string; readonly place?: Place } };

/** Rejects with ATTEST_MEASURE_FAILED, and with the signal's reason as soon as it aborts. */
export async function measureAside(what: Measurable, signal?: AbortSignal): Promise<Measured> {
  signal?.throwIfAborted();
  const thread = new Worker(new URL(import.meta.url), { workerData: { measure: what }, name: 'measure' });
  const { promise, resolve, reject } = Promise.withResolvers<Measured>();
  const give = (): void => reject(signal?.reason as Error);
  signal?.addEventListener('abort', give, { once: true });
  thread.once('message', (answer: Answer) => {
    if ('measured' in answer) resolve(answer.measured);
    else reject(refusal(answer.refused.message, answer.refused.place));
  });
  thread.once('error', (error) => reject(refusal(error instanceof Error ? error.message : String(error))));
  thread.once('exit', (code) => reject(refusal(`the thread that measures ended with ${code}`)));
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', give);
    await thread.terminate();
  }
}

const refusal = (message: string, place?: Place): CodedError =>
  attestError('ATTEST_MEASURE_FAILED', message, place === undefined ? {} : { place });

async function answerTo({ program, executables }: Measurable): Promise<Answer> {
  try {
    return {
      measured: {
        program: await measureProgram(nodeMeasuredFiles, program),
        executables: await measureExecutables(nodeMeasuredFiles, executables),
      },
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const place = error instanceof CodedError ? error.place : undefined;
    return { refused: { message, ...(place === undefined ? {} : { place }) } };
  }
}

const asked = isMainThread ? undefined : (workerData as { readonly measure?: Measurable } | null)?.measure;
if (asked !== undefined) parentPort?.postMessage(await answerTo(asked), []);
