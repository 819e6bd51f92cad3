// What a proxy calls its peer. A name counts when it is an exact SPIFFE ID of one of our kinds: with a NUL, a percent
// escape or another case of the scheme two readers would see two peers (CVE-2026-47778), so it is nobody.
import { parseSpiffeId } from '../../identity/index.ts';

/** The principal as it came, or undefined when it names nobody. Never throws. */
export function exactPrincipal(principal: string): string | undefined {
  try {
    return parseSpiffeId(principal).uri === principal ? principal : undefined;
  } catch {
    return undefined;
  }
}
