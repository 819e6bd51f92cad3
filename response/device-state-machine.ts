// The life of a device as a closed table (design section 2). Pure: no clock, no database. A transition that has no row
// does not happen, so a timeout or a repeated appraisal cannot launder a failure.

export const deviceStates = [
  'expected',
  'enrolled',
  'trusted',
  'stale',
  'suspect',
  'quarantined',
  'recovering',
  'decommissioned',
] as const;
export type DeviceStateName = (typeof deviceStates)[number];

/** What can happen to a device. `reimaged` is an enrolment with a token made for a re-imaged device. */
export const deviceEvents = [
  'enrolled',
  'reimaged',
  'affirmed',
  'contradicted',
  'aged',
  'quarantined',
  'recovered',
  'released',
  'revoked',
] as const;
export type DeviceEvent = (typeof deviceEvents)[number];

type Row = Partial<Record<DeviceEvent, DeviceStateName>>;

/** State by event to next state; what is absent is refused. */
export const transitions: Readonly<Record<DeviceStateName, Row>> = {
  expected: { enrolled: 'enrolled', reimaged: 'enrolled', revoked: 'decommissioned' },
  enrolled: {
    enrolled: 'enrolled',
    reimaged: 'enrolled',
    affirmed: 'trusted',
    contradicted: 'suspect',
    quarantined: 'quarantined',
    revoked: 'decommissioned',
  },
  trusted: {
    reimaged: 'enrolled',
    affirmed: 'trusted',
    contradicted: 'suspect',
    aged: 'stale',
    quarantined: 'quarantined',
    revoked: 'decommissioned',
  },
  stale: {
    reimaged: 'enrolled',
    affirmed: 'trusted',
    contradicted: 'suspect',
    aged: 'stale',
    quarantined: 'quarantined',
    revoked: 'decommissioned',
  },
  // Sticky: only a person releases a suspect device, and only with an affirming appraisal.
  suspect: {
    reimaged: 'recovering',
    affirmed: 'suspect',
    contradicted: 'suspect',
    aged: 'suspect',
    quarantined: 'quarantined',
    released: 'trusted',
    revoked: 'decommissioned',
  },
  quarantined: {
    reimaged: 'recovering',
    recovered: 'recovering',
    affirmed: 'quarantined',
    contradicted: 'quarantined',
    aged: 'quarantined',
    quarantined: 'quarantined',
    revoked: 'decommissioned',
  },
  recovering: {
    reimaged: 'recovering',
    affirmed: 'recovering',
    contradicted: 'quarantined',
    aged: 'recovering',
    quarantined: 'quarantined',
    released: 'trusted',
    revoked: 'decommissioned',
  },
  // A tombstone: no row leads out.
  decommissioned: { revoked: 'decommissioned' },
};

export function nextState(from: DeviceStateName, event: DeviceEvent): DeviceStateName | undefined {
  return transitions[from][event];
}
