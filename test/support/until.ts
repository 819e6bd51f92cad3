// Waiting for what another program does.
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until `probe` gives something other than undefined and false; a probe that throws is asked again. Throws when there
 * is nothing within `timeoutMs`, with what the last probe said.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 20_000,
  everyMs = 50,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const said = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`${what}: not within ${timeoutMs} ms${said}`, { cause: last });
    }
    await delay(everyMs);
  }
}
