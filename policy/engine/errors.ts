// The closed table of what the engine refuses to compile. Denials are not here: they are values (request.ts).
import { errorTable, type CodedError, type Place } from '../../runtime/errors.ts';

export const engineErrors = errorTable({
  ENGINE_SLICE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the policy at the place named; every name a rule uses has to exist exactly once',
  },
  ENGINE_PATH_PATTERN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Write the path canonically: literal segments, * for one whole segment, ** only as the last one',
  },
  ENGINE_CASBIN_MODEL: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct model.conf at the line named; policy/engine/casbin/README.md lists what is supported',
  },
  ENGINE_CASBIN_MATCHER: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct the matcher; policy/engine/casbin/README.md gives its grammar',
  },
  ENGINE_CASBIN_POLICY: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Correct policy.csv at the line named',
  },
  ENGINE_CASBIN_UNSUPPORTED: {
    status: 'UNIMPLEMENTED',
    remedy: 'Express it with what policy/engine/casbin/README.md lists as supported',
  },
  ENGINE_CASBIN_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Split the model, or flatten its roles',
  },
  ENGINE_REGO_MODULE: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Build the package again with the version of opa that `npm run setup` brings',
  },
  ENGINE_REGO_DATA: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Keep data.json small (it shares 16 MiB of memory with the request) and without U+0000',
  },
} as const);

export type EngineErrorCode = keyof typeof engineErrors.codes;

/** Reads the `file:line` that a slice carries; what has no line is a file. */
export function placeOf(text: string): Place {
  const colon = text.lastIndexOf(':');
  const line = Number(text.slice(colon + 1));
  if (colon <= 0 || !Number.isInteger(line) || line < 1) return { file: text };
  return { file: text.slice(0, colon), line };
}

export function sliceError(place: string, message: string): CodedError {
  return engineErrors.error('ENGINE_SLICE_INVALID', message, { place: placeOf(place) });
}
