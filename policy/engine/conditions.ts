// The conditions of a grant, compiled to closures. Three-valued: a condition holds, does not hold, or cannot be known;
// only one that holds opens anything. The text says which, for explanations.
import type { SliceGrant } from '../bundle/slice.ts';
import { attribute, attributeNames, finite, text } from './attributes.ts';
import type { AccessRequest } from './request.ts';
import type { StateRow } from './state-table.ts';

export type Truth = 'holds' | 'fails' | 'unknown';

export interface Condition {
  readonly name: string;
  readonly judge: (request: AccessRequest, row: StateRow) => Truth;
}

const dayMinutes = 1_440;
const minuteMs = 60_000;

export function compileConditions(grant: SliceGrant): readonly Condition[] {
  const { attestation, attestationMaxAgeSeconds, maxRisk, timeWindow } = grant.conditions;
  const conditions: Condition[] = [];
  const { until } = grant;
  if (until !== undefined) {
    conditions.push({ name: 'until', judge: ({ context }) => truth(context.time < until) });
  }
  if (timeWindow !== undefined) {
    const { fromMinute, toMinute } = timeWindow;
    conditions.push({ name: 'time window', judge: ({ context }) => inWindow(context.time, fromMinute, toMinute) });
  }
  if (attestation !== undefined) {
    const classes = new Set(attestation);
    conditions.push({ name: `attestation ${attestation.join(' or ')}`, judge: (r, row) => attested(r, row, classes) });
  }
  if (attestationMaxAgeSeconds !== undefined) {
    const maxAgeMs = attestationMaxAgeSeconds * 1_000;
    conditions.push({
      name: `attestation at most ${attestationMaxAgeSeconds} s old`,
      judge: (request, row) => freshlyAttested(request, row, maxAgeMs),
    });
  }
  if (maxRisk !== undefined) {
    conditions.push({ name: `risk at most ${maxRisk}`, judge: (request) => riskAtMost(request, maxRisk) });
  }
  return conditions;
}

function truth(value: boolean): Truth {
  return value ? 'holds' : 'fails';
}

function attested(request: AccessRequest, row: StateRow, classes: ReadonlySet<string>): Truth {
  const found = text(attribute(request.subject.attributes, attributeNames.attestation, request.context.time)?.value);
  if (found === undefined) return 'unknown';
  return truth(classes.has(row.unattested ? 'none' : found));
}

function freshlyAttested(request: AccessRequest, row: StateRow, maxAgeMs: number): Truth {
  const found = attribute(request.subject.attributes, attributeNames.attestation, request.context.time);
  if (found?.asOf === undefined || text(found.value) === undefined) return 'unknown';
  return truth(!row.unattested && request.context.time - found.asOf <= maxAgeMs);
}

function riskAtMost(request: AccessRequest, maxRisk: number): Truth {
  const risk = finite(attribute(request.subject.attributes, attributeNames.risk, request.context.time)?.value);
  return risk === undefined ? 'unknown' : truth(risk <= maxRisk);
}

/** Minutes of the UTC day, end exclusive; from after to wraps over midnight; from equal to is never. */
function inWindow(time: number, fromMinute: number, toMinute: number): Truth {
  if (!Number.isFinite(time)) return 'unknown';
  const minute = ((Math.floor(time / minuteMs) % dayMinutes) + dayMinutes) % dayMinutes;
  return truth(
    fromMinute <= toMinute ? fromMinute <= minute && minute < toMinute : minute >= fromMinute || minute < toMinute,
  );
}
