// What time it is, when nobody may be believed. Only time signed by the orders key raises the floor; the floor is on
// disk and never falls. Between signed times the host's uptime counts on, which no clock setting reaches and which
// goes on through suspend and through restarts of this process. The local wall clock is used only after a cold boot
// without any signed time, and then the time is not trusted, so that bundles count as soft-expired.
//
// A local clock set far ahead is ignored while trusted time is known (both ways: it neither expires nor prolongs).
// After a cold boot it is all there is and is believed for the age of things: ahead, it expires a bundle early. What a
// date opens or a passed date no longer forbids is not taken from it: calendars know the floor only (createDecide). The
// first signed time heals it, because a local time never reaches the floor.
import { join } from 'node:path';
import { z } from 'zod';
import { verifyJws, type PublicJwk } from '../../identity/index.ts';
import { SignedTimeSchema } from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { canonicalJson } from '../../runtime/canonical-json.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import { decodeMessage } from '../../runtime/grpc-wire.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FileSystem } from '../../store/files.ts';
import { writeDurably } from '../../store/sealed-file.ts';
import type { EmitEvent } from '../../audit/spool/index.ts';
import { activationErrors } from './errors.ts';
import { FLOOR_STEP_MS, MAX_LOCAL_SKEW_MS, MAX_MARK_BYTES, MAX_TIME_JUMP_MS } from './limits.ts';

/** The boot of the host, by the kernel. */
export interface Boot {
  /** Changes with every boot, e.g. /proc/sys/kernel/random/boot_id. */
  readonly id: string;
  /** Milliseconds since boot, suspend included; the same count for every process. */
  uptimeMs(): number;
}

export interface TrustedTime {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** A signed time was heard since the host booted. */
  readonly trusted: boolean;
  /** While not trusted: the latest signed time, which has surely passed. */
  readonly floor?: number;
}

export interface TrustedClock {
  time(): TrustedTime;
  now(): number;
  /** Takes a signed time (JWS typ edgeward-time+proto). Throws CLOCK_* and IDENTITY_JWS_*. */
  observe(jws: string): Promise<void>;
  status(): {
    readonly trusted: boolean;
    readonly floor: number;
    /** Local clock minus trusted time in milliseconds; undefined while the time is not trusted. */
    readonly localSkewMs: number | undefined;
  };
}

export interface TrustedClockOptions {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly boot: Boot;
  readonly trustDomain: string;
  readonly anchors: () => { readonly ordersKeys: readonly PublicJwk[] };
  readonly emit: EmitEvent;
  readonly log: Logger;
}

const markSchema = z.strictObject({
  format: z.literal(1),
  /** Latest signed time, milliseconds since the epoch. */
  floor: z.int().nonnegative(),
  /** Boot in which it was heard, and its uptime then. */
  boot: z.string().max(64),
  uptime: z.number().nonnegative(),
});
type Mark = z.infer<typeof markSchema>;

export async function openTrustedClock(options: TrustedClockOptions): Promise<TrustedClock> {
  const { boot, clock, log } = options;
  const path = join(options.stateDir, 'clock.json');
  let mark = await readMark(options, path);
  let written = mark?.floor ?? 0;
  let skewed = false;

  const time = (): TrustedTime => {
    if (mark === undefined) return { now: clock.now(), trusted: false };
    const counted = mark.boot === boot.id ? boot.uptimeMs() - mark.uptime : undefined;
    if (counted === undefined || counted < 0) {
      return { now: Math.max(mark.floor, clock.now()), trusted: false, floor: mark.floor };
    }
    // Whole milliseconds, as everywhere; the count since boot has fractions.
    return { now: Math.trunc(mark.floor + counted), trusted: true };
  };

  const observe = async (jws: string): Promise<void> => {
    const before = time();
    const signed = await acceptTime(jws, before, options);
    // Below the floor: a delay, or a control plane set back; ours goes on. Above it we follow, also a little back,
    // because our oscillator may be fast.
    if (before.trusted && signed < (mark?.floor ?? 0)) return;
    mark = { format: 1, floor: Math.max(signed, mark?.floor ?? 0), boot: boot.id, uptime: boot.uptimeMs() };
    skewed = reportSkew(clock.now() - mark.floor, skewed, options);
    if (before.trusted && mark.floor - written < FLOOR_STEP_MS) return;
    try {
      await options.fs.mkdir(options.stateDir);
      await writeDurably(options.fs, path, Buffer.from(canonicalJson(mark)));
      written = mark.floor;
    } catch (error) {
      // The time is right all the same; only a restart would not know.
      log.error({ err: error }, 'the floor of the clock could not be written');
    }
  };

  return {
    time,
    now: () => time().now,
    observe,
    status() {
      const { now, trusted } = time();
      return { trusted, floor: mark?.floor ?? 0, localSkewMs: trusted ? clock.now() - now : undefined };
    },
  };
}

async function readMark(options: TrustedClockOptions, path: string): Promise<Mark | undefined> {
  const { fs, log } = options;
  try {
    if ((await fs.stat(path)) === undefined) return undefined;
    return markSchema.parse(JSON.parse((await fs.readFile(path, MAX_MARK_BYTES)).toString('utf8')));
  } catch (error) {
    // Without a floor the time is not trusted, which is what a lost floor deserves.
    log.error({ err: error, path }, 'the floor of the clock cannot be read');
    await tell(options, 'floor-lost', 'high', { message: 'the floor of the clock cannot be read' });
    return undefined;
  }
}

async function verifyTime(jws: string, options: TrustedClockOptions): Promise<number> {
  const { payload } = await verifyJws(jws, { typ: 'edgeward-time+proto', keys: options.anchors().ordersKeys });
  const { trustDomain, nowMs } = decodeMessage(SignedTimeSchema, payload);
  const now = Number(nowMs);
  if (trustDomain !== options.trustDomain) {
    throw activationErrors.error('CLOCK_TIME_INVALID', `signed time of ${trustDomain}, edge of ${options.trustDomain}`);
  }
  if (!Number.isSafeInteger(now) || now <= 0) {
    throw activationErrors.error('CLOCK_TIME_INVALID', 'the signed time is not a time');
  }
  return now;
}

/** The signed time, if it can be believed; every refusal leaves an event. */
async function acceptTime(jws: string, before: TrustedTime, options: TrustedClockOptions): Promise<number> {
  try {
    const signed = await verifyTime(jws, options);
    if (before.trusted && signed - before.now > MAX_TIME_JUMP_MS) throw jump(signed, before.now);
    return signed;
  } catch (error) {
    const code = error instanceof CodedError ? error.code : '';
    await tell(options, 'refuse', 'high', { message: error instanceof Error ? error.message : String(error), code });
    throw error;
  }
}

/** An hour that this boot did not count did not pass: taking it would raise the floor for good and expire everything. */
function jump(signed: number, counted: number): CodedError {
  return activationErrors.error(
    'CLOCK_JUMP_REFUSED',
    `signed time ${new Date(signed).toISOString()} is ahead of ${new Date(counted).toISOString()}, ` +
      'which this host has counted since the last signed time',
  );
}

/** Says once that the local clock is wrong, and once that it is right again. Returns whether it is wrong. */
function reportSkew(skewMs: number, was: boolean, options: TrustedClockOptions): boolean {
  const is = Math.abs(skewMs) > MAX_LOCAL_SKEW_MS;
  if (is === was) return is;
  const message = is
    ? `the local clock is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} signed time; it is not used`
    : 'the local clock agrees with signed time again';
  options.log.warn({ skewMs }, message);
  void tell(options, is ? 'skew' : 'skew-over', is ? 'medium' : 'info', { message });
  return is;
}

async function tell(
  options: TrustedClockOptions,
  activity: string,
  severity: 'info' | 'medium' | 'high',
  data: Record<string, string>,
): Promise<void> {
  try {
    await options.emit({ kind: 'process', activity: `clock-${activity}`, severity, data });
  } catch (error) {
    options.log.error({ err: error }, 'an event of the clock was lost');
  }
}
