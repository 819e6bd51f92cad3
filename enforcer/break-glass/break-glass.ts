// Break-glass on the edge (docs/decisions/0012): takes a ticket of two approvers, records it where it cannot be forgotten,
// and opens what it says until its minutes are over. An opening lives in one boot of the host and is measured by its
// uptime, which no clock setting reaches; it ends with the profile that allowed it and with the good standing of the edge.
import type { EmitEvent } from '../../audit/spool/index.ts';
import { keyId } from '../../identity/index.ts';
import { type Slice, type SliceBreakGlass, type VerifiedTicket, verifyTicket } from '../../policy/bundle/index.ts';
import { type Freshness, type Opening, openingRule, type SubjectState } from '../../policy/engine/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { createRateLimit } from '../../runtime/rate-limit.ts';
import { periodically, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import { openingErrors } from './errors.ts';
import { KEPT_AFTER_MS, MAX_SPENT, REFUSAL_BURST, REFUSALS_PER_SECOND, TICK_MS } from './limits.ts';
import { readSpent, type SpentTicket, writeSpent } from './spent-tickets.ts';

export interface BreakGlassOptions {
  readonly fs: FileSystem;
  readonly stateDir: string;
  readonly trustDomain: string;
  /** This edge. */
  readonly deviceId: string;
  readonly clock: Clock;
  /** The boot of the host and the milliseconds since. */
  readonly boot: { readonly id: string; uptimeMs(): number };
  /** The trusted clock. */
  readonly time: () => { readonly now: number; readonly trusted: boolean };
  /** The verified bundle in force and how fresh it is; undefined without one. */
  readonly policy: () => { readonly slice: Slice; readonly digest: string; readonly freshness: Freshness } | undefined;
  /** What orders and signed states say of this edge itself. */
  readonly ownState: () => SubjectState;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

/** What is open now. */
export interface OpenGlass {
  readonly ticket: string;
  readonly profile: string;
  readonly subject: string;
  readonly interface: string;
  readonly operations: readonly string[];
  readonly requestedBy: string;
  readonly approvers: readonly string[];
  readonly reason: string;
  /** Whole seconds until it ends. */
  readonly secondsLeft: number;
}

export interface BreakGlass {
  /** Takes the text of a ticket. Throws BREAK_GLASS_*, and leaves an event either way. */
  use(ticket: string): Promise<OpenGlass>;
  /** For the engine. Never throws. */
  openings(): readonly Opening[];
  status(): { readonly open: readonly OpenGlass[]; readonly damaged: boolean };
  /** Records the end of what has ended. */
  readonly task: Task;
}

/** An edge in one of them may open; any other, and one it does not know, may not. */
const goodStanding: ReadonlySet<SubjectState> = new Set<SubjectState>(['enrolled', 'trusted', 'stale']);

type End = 'time' | 'reboot' | 'policy' | 'state';

/** Damage is reported and refuses every ticket; it does not keep the edge from starting. */
export async function openBreakGlass(options: BreakGlassOptions): Promise<BreakGlass> {
  const { fs, stateDir, clock, log } = options;
  const refusals = createRateLimit({ burst: REFUSAL_BURST, perSecond: REFUSALS_PER_SECOND }, clock);
  let damage: unknown;
  let spent = await readSpent(fs, stateDir).catch(async (error: unknown): Promise<SpentTicket[]> => {
    damage = error;
    log.error({ err: error }, 'the used break-glass tickets cannot be read: none is accepted');
    await tell(options, 'break-glass-lost', 'critical', { message: messageOf(error) });
    return [];
  });
  /** One ticket, or one end, at a time. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  };

  const notEnded = (): SpentTicket[] => spent.filter(({ ended }) => !ended);
  /** Every denied request asks for them. */
  let pending = notEnded();
  const write = async (next: SpentTicket[]): Promise<void> => {
    await writeSpent(fs, stateDir, next);
    spent = next;
    pending = notEnded();
  };

  /** What was seen to have ended. It stays closed whatever comes, recorded or not. */
  const over = new Map<string, End>();
  const standing = (record: SpentTicket): SliceBreakGlass | End => {
    const state = over.get(record.ticket) ?? stateOf(record, options);
    if (typeof state === 'string') over.set(record.ticket, state);
    return state;
  };

  const accept = async (text: string): Promise<OpenGlass> => {
    if (damage !== undefined) throw openingErrors.error('BREAK_GLASS_DAMAGED', messageOf(damage), { cause: damage });
    const policy = options.policy();
    if (policy === undefined) throw openingErrors.error('BREAK_GLASS_NO_BUNDLE', 'no verified bundle is in force');
    const { trustDomain, deviceId: device } = options;
    const profiles = policy.slice.breakGlass ?? [];
    const ticket = await verifyTicket(text, { trustDomain, device, profiles, time: options.time() });
    mayOpen(ticket, policy.freshness, options.ownState());
    const kept = spent.filter((one) => !isForgotten(one, profiles, options.time()));
    hasQuota(ticket, kept);
    const record = recordOf(ticket, options.boot);
    await announce(options, ticket, policy.digest);
    try {
      await write([...kept, record]);
    } catch (cause) {
      throw openingErrors.error('BREAK_GLASS_NOT_RECORDED', `the ticket was not used: ${messageOf(cause)}`, { cause });
    }
    fs.point?.('break-glass-counted');
    return shown(record, ticket.profile, options.boot);
  };

  const live = (): { record: SpentTicket; profile: SliceBreakGlass }[] =>
    pending.flatMap((record) => {
      const state = standing(record);
      return typeof state === 'string' ? [] : [{ record, profile: state }];
    });

  const endAll = async (): Promise<void> => {
    for (const record of pending) {
      const end = standing(record);
      if (typeof end !== 'string') continue;
      await options.emit(
        { kind: 'authz', activity: 'break-glass-end', severity: 'high', data: endOf(record, end) },
        true,
      );
      await write(spent.map((one) => (one === record ? { ...one, ended: true } : one)));
      over.delete(record.ticket);
    }
  };

  return {
    use: async (text) => {
      try {
        return await inTurn(async () => await accept(text));
      } catch (error) {
        const code = error instanceof CodedError ? error.code : '';
        if (refusals.take('') === 0) {
          await tell(options, 'break-glass-refuse', 'high', { code, message: messageOf(error).slice(0, 512) });
        }
        throw error;
      }
    },
    openings: () => {
      try {
        return live().map(({ record, profile }) => openingOf(record, profile));
      } catch (error) {
        log.error({ err: error }, 'what is open by break-glass cannot be told: nothing is');
        return [];
      }
    },
    status: () => ({
      open: live().map(({ record, profile }) => shown(record, profile, options.boot)),
      damaged: damage !== undefined,
    }),
    task: periodically(clock, TICK_MS, async () => {
      try {
        await inTurn(endAll);
      } catch (error) {
        log.error({ err: error }, 'the end of a break-glass opening could not be recorded and is tried again');
      }
    }),
  };
}

function mayOpen({ profile }: VerifiedTicket, freshness: Freshness, state: SubjectState): void {
  if (!goodStanding.has(state)) {
    throw openingErrors.error('BREAK_GLASS_CONTAINED', `this edge is ${state}`);
  }
  if (freshness === 'hard-expired' && !profile.afterHardExpiry) {
    throw openingErrors.error('BREAK_GLASS_EXPIRED', `the bundle is past hard expiry, and ${profile.id} ends with it`);
  }
}

/** Counted by profile and generation; one that goes back gives nothing back. */
function hasQuota({ request, profile }: VerifiedTicket, spent: readonly SpentTicket[]): void {
  if (spent.some(({ ticket }) => ticket === request.ticket)) {
    throw openingErrors.error('BREAK_GLASS_SPENT', `ticket ${request.ticket} was used here`);
  }
  const used = spent.filter((one) => one.profile === profile.id && one.generation >= profile.generation).length;
  if (used >= profile.uses || spent.length >= MAX_SPENT) {
    throw openingErrors.error(
      'BREAK_GLASS_QUOTA',
      `${profile.id} opens ${profile.uses} times in generation ${profile.generation}, and has ${used} times`,
    );
  }
}

/** Long over, and of a generation that no ticket of today names: neither the ticket nor the quota needs it any more. */
function isForgotten(
  { profile, generation, notAfter, ended }: SpentTicket,
  profiles: readonly SliceBreakGlass[],
  { now, trusted }: { readonly now: number; readonly trusted: boolean },
): boolean {
  const inForce = profiles.find(({ id }) => id === profile)?.generation ?? 0;
  return ended && trusted && generation < inForce && now > notAfter + KEPT_AFTER_MS;
}

function recordOf({ request, approvers, keys }: VerifiedTicket, boot: BreakGlassOptions['boot']): SpentTicket {
  const { format: _, trustDomain: __, device: ___, notBefore: ____, ...said } = request;
  return {
    ...said,
    approvers: [...approvers],
    keys: [...keys],
    boot: boot.id,
    uptimeMs: boot.uptimeMs(),
    ended: false,
  };
}

const minuteMs = 60_000;

/** The profile under which it is open, or why it is not. */
function stateOf(
  record: SpentTicket,
  { boot, time, policy, ownState, deviceId }: BreakGlassOptions,
): SliceBreakGlass | End {
  if (record.boot !== boot.id) return 'reboot';
  const elapsed = boot.uptimeMs() - record.uptimeMs;
  // Uptime is what counts; signed time that was heard meanwhile can only end it earlier.
  const { now, trusted } = time();
  const durationMs = record.minutes * minuteMs;
  if (!(elapsed >= 0 && elapsed < durationMs) || (trusted && now >= record.notAfter + durationMs)) return 'time';
  if (!goodStanding.has(ownState())) return 'state';
  const profile = policy()?.slice.breakGlass?.find((entry) => entry.id === record.profile && entry.device === deviceId);
  return profile !== undefined && allows(profile, record) ? profile : 'policy';
}

/** Every denied request asks while something is open, and an id is a hash. */
const known = new WeakMap<SliceBreakGlass, ReadonlySet<string>>();

function approverKeys(profile: SliceBreakGlass): ReadonlySet<string> {
  const keys = known.get(profile) ?? new Set(profile.approvers.map(({ key }) => keyId(key)));
  known.set(profile, keys);
  return keys;
}

/** A bundle that came meanwhile says the same, or more. */
function allows(profile: SliceBreakGlass, record: SpentTicket): boolean {
  const keys = approverKeys(profile);
  return (
    profile.generation === record.generation &&
    profile.subjects.includes(record.subject) &&
    record.operations.every((operation) => profile.operations.includes(operation)) &&
    record.minutes <= profile.maxMinutes &&
    record.keys.length >= profile.approvals &&
    record.keys.every((key) => keys.has(key))
  );
}

const ruleOf = ({ profile, ticket }: Pick<SpentTicket, 'profile' | 'ticket'>): string => openingRule(profile, ticket);

function openingOf(record: SpentTicket, profile: SliceBreakGlass): Opening {
  const { interface: name, device, binding, place, afterHardExpiry } = profile;
  const { subject, operations } = record;
  return { rule: ruleOf(record), place, subject, binding, interface: name, device, operations, afterHardExpiry };
}

function shown(record: SpentTicket, profile: SliceBreakGlass, boot: BreakGlassOptions['boot']): OpenGlass {
  const { ticket, subject, operations, requestedBy, approvers, reason, minutes, uptimeMs } = record;
  const secondsLeft = Math.max(0, Math.ceil((minutes * minuteMs - (boot.uptimeMs() - uptimeMs)) / 1_000));
  const { id, interface: name } = profile;
  return { ticket, profile: id, subject, interface: name, operations, requestedBy, approvers, reason, secondsLeft };
}

/** The alarm is on disk before anything opens; one that was not followed by an opening harms nobody. */
async function announce(options: BreakGlassOptions, { request, profile, approvers }: VerifiedTicket, bundle: string) {
  const { requestedBy, reason, minutes, subject, operations } = request;
  const said = `${requestedBy} opens ${operations.join(', ')} for ${minutes} minutes, approved by ${approvers.join(', ')}`;
  // No accusation: the finding is about this edge.
  const data = {
    peer: subject,
    interface: profile.interface,
    rule: ruleOf(request),
    place: profile.place,
    by: [...approvers, requestedBy],
    total: profile.uses,
    reason,
    message: said.slice(0, 512),
  };
  try {
    await options.emit({ kind: 'authz', activity: 'break-glass', severity: 'critical', bundle, data }, true);
  } catch (cause) {
    throw openingErrors.error('BREAK_GLASS_NOT_RECORDED', `the alarm cannot be recorded: ${messageOf(cause)}`, {
      cause,
    });
  }
}

const endings: Readonly<Record<End, string>> = {
  time: 'its time is over',
  reboot: 'the host was started again',
  policy: 'the policy in force does not allow it any more',
  state: 'this edge is no longer in good standing',
};

function endOf(record: SpentTicket, end: End) {
  const { subject } = record;
  return { peer: subject, rule: ruleOf(record), reason: end, message: `ended: ${endings[end]}` };
}

async function tell(
  { emit, log }: BreakGlassOptions,
  activity: string,
  severity: 'high' | 'critical',
  data: Readonly<Record<'message', string> & Partial<Record<'code', string>>>,
): Promise<void> {
  try {
    await emit({ kind: 'authz', activity, severity, data }, true);
  } catch (error) {
    log.error({ err: error }, 'an event of break-glass was lost');
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
