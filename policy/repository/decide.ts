// The decision engine as the tests of a repository ask it: fresh bundle, no digest, each slice compiled once.
import { compileSlice } from '../engine/index.ts';
import type { Engine } from '../engine/index.ts';
import type { DecideOverSlice } from './run-tests.ts';

export function decideWithEngine(): DecideOverSlice {
  const engines = new WeakMap<object, Engine>();
  return (slice, request) => {
    let engine = engines.get(slice);
    if (engine === undefined) {
      // Tests choose their own time; expiry is not what they are about.
      const never = Number.MAX_SAFE_INTEGER;
      engine = compileSlice(slice, { digest: '', softExpiry: never, hardExpiry: never });
      engines.set(slice, engine);
    }
    return engine.decide(request, 'fresh');
  };
}
