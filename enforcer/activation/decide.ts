// The question of every enforcement point, put to the engine in force at the freshness of its bundle.
import {
  type AccessRequest,
  type Asked,
  type Decision,
  type Engine,
  type Freshness,
  type Fulfilment,
  noBundleDecision,
  noFulfilment,
  noUsage,
  type Opening,
  requireFulfilment,
  type Usage,
} from '../../policy/engine/index.ts';
import type { Active } from './activate.ts';
import { freshnessOf } from './freshness.ts';
import type { TrustedTime } from './trusted-clock.ts';

interface Deciding {
  readonly decide: (request: AccessRequest, freshness: Freshness, usage: Usage) => Decision;
  readonly decideOpened: Engine['decideOpened'];
}

const nothingOpen = (): readonly Opening[] => [];
const notIsland = (): boolean => false;

/** What an enforcement point does beside letting a request through or not. */
export interface Abilities {
  /** Where the uses of limited grants are counted. */
  readonly usage: Usage;
  readonly fulfilment: Fulfilment;
  /** Hears what the engine was asked, and whether the counts of a limited grant, or break-glass, had a say; not without a bundle. */
  readonly heard?: (asked: Asked, limited: boolean) => void;
}

/** Counts nothing and fulfils nothing, so what needs either is denied. */
const none: Abilities = { usage: noUsage, fulfilment: noFulfilment };

/** What people opened is asked only about what is denied otherwise. Answers `no-bundle` without one. Never throws. The pointer is read once, so an answer is of one bundle. */
export function createDecide(
  current: () => Active<Deciding> | undefined,
  time: () => TrustedTime,
  openings: () => readonly Opening[] = nothingOpen,
  /** Whether this device is in island mode. */
  island: () => boolean = notIsland,
): (request: AccessRequest, abilities?: Abilities) => Decision {
  return (request, { usage, fulfilment, heard } = none) => {
    const active = current();
    if (active === undefined) return noBundleDecision();
    const at = time();
    const asked = isolated(timed(request, at), island());
    const freshness = freshnessOf(active.bundle.manifest, at);
    // A use is taken last of all, so an obligation that cannot be met here costs none.
    let limited = false;
    const looking: Usage = {
      look: usage.look,
      take: (...use) => {
        limited = true;
        return usage.look(...use);
      },
    };
    const would = requireFulfilment(active.engine.decide(asked, freshness, looking), fulfilment);
    const opened = would.allow ? undefined : openedFor(active, { request: asked, freshness }, openings(), fulfilment);
    heard?.({ request: asked, freshness }, limited || opened !== undefined);
    if (opened !== undefined) return opened;
    if (!limited || !would.allow) return would;
    return requireFulfilment(active.engine.decide(asked, freshness, usage), fulfilment);
  };
}

/** The allow that an opening gives, or undefined. */
function openedFor(
  { engine }: Active<Deciding>,
  { request, freshness }: Asked,
  openings: readonly Opening[],
  fulfilment: Fulfilment,
): Decision | undefined {
  for (const opening of openings) {
    if (opening.subject !== request.subject.id || opening.interface !== request.resource.interface) continue;
    const decision = requireFulfilment(engine.decideOpened(opening, request, freshness), fulfilment);
    if (decision.allow) return decision;
  }
  return undefined;
}

/**
 * Whether this one grant opens what is asked, by a bundle that is about to be enforced: for who installs grants one by one
 * and sees no request. What only observe mode lets through it does not open. Never throws.
 */
export function createHolds(
  { engine, bundle }: Pick<Active<Pick<Engine, 'decideAlone'>>, 'engine' | 'bundle'>,
  time: () => TrustedTime,
): (grant: string, request: AccessRequest) => boolean {
  return (grant, request) => {
    const at = time();
    const decision = engine.decideAlone(grant, timed(request, at), freshnessOf(bundle.manifest, at));
    return decision.allow && decision.observed === undefined;
  };
}

/** A calendar is not asked by a clock that nobody vouches for. */
function timed(request: AccessRequest, { trusted, floor = 0 }: TrustedTime): AccessRequest {
  return trusted ? request : { ...request, context: { ...request.context, timeFloor: floor } };
}

function isolated(request: AccessRequest, island: boolean): AccessRequest {
  return island ? { ...request, context: { ...request.context, island } } : request;
}
