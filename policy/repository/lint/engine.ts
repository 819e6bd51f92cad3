// The last word before signing: every slice is compiled and asked its own self-test vectors by the engine that the
// edges run, so that no publication is refused by all of them.
import { CodedError } from '../../../runtime/errors.ts';
import { compileSlice } from '../../engine/index.ts';
import type { Slice } from '../../bundle/slice.ts';
import { buildSlices } from '../build.ts';
import type { Problems } from '../problems.ts';
import type { Repository } from '../repository.ts';

/** Runs over a repository without errors. `now` in milliseconds since the epoch. */
export function lintEngine(repository: Repository, problems: Problems, now: number): void {
  const meta = { digest: '', softExpiry: now + repository.softExpiryMs, hardExpiry: now + repository.hardExpiryMs };
  const seen = new Set<string>();
  for (const slice of buildSlices(repository).values()) {
    for (const { file, line, message } of faultsOf(slice, meta)) {
      // The same rule is in the slice of every device it concerns.
      const key = `${file}:${line} ${message}`;
      if (seen.has(key)) continue;
      seen.add(key);
      problems.add('POLICY_ENGINE', { file, line }, message);
    }
  }
}

interface Fault {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

function faultsOf(slice: Slice, meta: { digest: string; softExpiry: number; hardExpiry: number }): Fault[] {
  try {
    const { failures } = compileSlice(slice, meta).selfTest();
    return failures.map(({ vector, decision }) => {
      const place = slice.interfaces.find((entry) => entry.name === vector.interface)?.place ?? '';
      const answer = decision.allow ? 'allows' : `denies (${decision.reason})`;
      const request = JSON.stringify(vector.operation);
      const message = `self-test: ${vector.subject} with ${request}: expected ${vector.expect}, the engine ${answer}`;
      return { ...splitPlace(place), message };
    });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const { file = slice.device, line = 1 } = error.place ?? {};
    return [{ file, line, message: error.message }];
  }
}

function splitPlace(place: string): { file: string; line: number } {
  const colon = place.lastIndexOf(':');
  return { file: place.slice(0, colon), line: Number(place.slice(colon + 1)) };
}
