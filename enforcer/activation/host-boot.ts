// The boot of this Linux host, for the trusted clock. uptime() is CLOCK_BOOTTIME: it counts through suspend.
import { uptime } from 'node:os';
import type { FileSystem } from '../../store/files.ts';
import type { Boot } from './trusted-clock.ts';

const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** Milliseconds for which the count is extrapolated: reading it opens a file, and every decision asks. */
const REREAD_MS = 1_000;

/** Where the kernel names no boot, pass a fresh random id: time is then untrusted after each restart. */
export async function hostBoot(fs: FileSystem, fallbackId: string): Promise<Boot> {
  const id = await fs.readFile(bootIdFile, 256).then(
    (bytes) => bytes.toString('latin1').trim(),
    () => fallbackId,
  );
  let read = { uptimeMs: uptime() * 1000, at: performance.now() };
  return {
    id,
    uptimeMs() {
      const now = performance.now();
      if (now - read.at >= REREAD_MS) read = { uptimeMs: uptime() * 1000, at: now };
      return read.uptimeMs + (now - read.at);
    },
  };
}
