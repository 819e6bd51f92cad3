// A batch or a page is many decisions in one request. Between them others have their turn: proxies wait for this event loop too.
import { setImmediate } from 'node:timers/promises';
import { maxTurnMs } from './limits.ts';

/** For one request, before each of its decisions. Resolves with true when others had their turn meanwhile. */
export function createTurns(): () => boolean | Promise<boolean> {
  let began = performance.now();
  return () => {
    if (performance.now() - began < maxTurnMs) return false;
    return setImmediate().then(() => {
      began = performance.now();
      return true;
    });
  };
}
