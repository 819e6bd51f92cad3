// The decision engine as whoever works on a repository asks it: each slice compiled once, no digest, no expiry by the
// clock. How old the policy is, the question says.
import { compileSlice } from '../engine/index.ts';
import type {
  AccessRequest,
  Decision,
  Engine,
  Explanation,
  Freshness,
  NamedOperations,
  Usage,
} from '../engine/index.ts';
import type { Slice } from '../bundle/slice.ts';

/** Answers as an edge with this slice in force would. */
export interface SliceEngine {
  /** Compiles the slice, so that a fault shows; asking does it by itself. */
  readonly compile: (slice: Slice) => void;
  /** Without `usage` as if nothing had been used yet. */
  readonly decide: (slice: Slice, request: AccessRequest, freshness?: Freshness, usage?: Usage) => Decision;
  readonly explain: (slice: Slice, request: AccessRequest, freshness?: Freshness) => Explanation;
  readonly operationsOf: (slice: Slice, request: AccessRequest) => NamedOperations | undefined;
}

/** Throws ENGINE_* for a slice that does not compile. */
export function decideWithEngine(): SliceEngine {
  const engines = new WeakMap<object, Engine>();
  const engineOf = (slice: Slice): Engine => {
    let engine = engines.get(slice);
    if (engine === undefined) {
      // Questions choose their own time; expiry is what `freshness` says.
      const never = Number.MAX_SAFE_INTEGER;
      engine = compileSlice(slice, { digest: '', softExpiry: never, hardExpiry: never });
      engines.set(slice, engine);
    }
    return engine;
  };
  return {
    compile: (slice) => void engineOf(slice),
    decide: (slice, request, freshness = 'fresh', usage) => engineOf(slice).decide(request, freshness, usage),
    explain: (slice, request, freshness = 'fresh') => engineOf(slice).explain(request, freshness),
    operationsOf: (slice, request) => engineOf(slice).operationsOf(request),
  };
}
