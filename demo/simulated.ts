// Without root or nftables: what can run, runs; what cannot is named.
import type { DemoOptions } from './index.ts';

export async function tellSimulated(options: DemoOptions, missing: readonly string[]): Promise<boolean> {
  process.stderr.write(`left out for want of ${missing.join(', ')}\n`);
  await Promise.resolve(options);
  return false;
}
