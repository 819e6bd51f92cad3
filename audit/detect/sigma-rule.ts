// Sigma rules and correlations as authors write them (SigmaHQ specification 2.1), parsed strictly: what this engine does
// not evaluate is refused at publish time rather than silently never matching.
import { z } from 'zod';
import { parseYamlWithPlaces } from '../../runtime/yaml.ts';
import { eventKinds, type EventKind } from '../spool/event.ts';
import { ruleInvalid } from './errors.ts';
import { maxEventsPerGroup } from './limits.ts';
import type { PlaceOf } from './sigma-match.ts';

const level = z.enum(['informational', 'low', 'medium', 'high', 'critical']);
export type Level = z.infer<typeof level>;

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const fieldMap = z.record(z.string(), z.union([scalar, z.array(scalar)]));
/** A selection: field map, list of field maps (any of them), or list of keywords. */
const selection = z.union([fieldMap, z.array(fieldMap), z.array(z.union([z.string(), z.number()]))]);
export type Selection = z.infer<typeof selection>;
export type FieldMap = z.infer<typeof fieldMap>;
export type Scalar = z.infer<typeof scalar>;

const common = {
  title: z.string().min(1).max(256),
  id: z.string().min(1).max(64),
  name: z.string().max(128).optional(),
  status: z.string().optional(),
  description: z.string().optional(),
  author: z.string().optional(),
  date: z.string().optional(),
  modified: z.string().optional(),
  references: z.array(z.string()).optional(),
  tags: z.array(z.string()).optional(),
  falsepositives: z.union([z.string(), z.array(z.string())]).optional(),
  fields: z.array(z.string()).optional(),
  license: z.string().optional(),
  level,
};

const eventRule = z.strictObject({
  ...common,
  logsource: z.strictObject({
    product: z.string().optional(),
    // A kind of event; any other would never match. `category` is refused for the same reason: no event has one.
    service: z.enum(Object.keys(eventKinds) as [EventKind, ...EventKind[]]).optional(),
    definition: z.string().optional(),
  }),
  detection: z.looseObject({ condition: z.string().min(1).max(2048) }),
});

const countCondition = z.strictObject({
  gt: z.int().min(0).optional(),
  gte: z.int().min(1).optional(),
  field: z.string().optional(),
});

const correlationRule = z.strictObject({
  ...common,
  correlation: z.strictObject({
    type: z.enum(['event_count', 'value_count']),
    rules: z.array(z.string()).min(1).max(16),
    'group-by': z.array(z.string()).max(8).optional(),
    timespan: z.string().regex(/^[1-9]\d{0,5}[smhd]$/, 'a number from 1 on and one of s, m, h, d'),
    condition: countCondition,
    generate: z.boolean().optional(),
  }),
});

const detections = z.record(z.string(), selection);

export interface EventRule {
  readonly kind: 'event';
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly level: Level;
  readonly tags: readonly string[];
  readonly placeOf: PlaceOf;
  /** Our event kind from logsource.service; undefined for every kind. */
  readonly service: string | undefined;
  readonly selections: Readonly<Record<string, Selection>>;
  readonly condition: string;
}

export interface CorrelationRule {
  readonly kind: 'correlation';
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly level: Level;
  readonly tags: readonly string[];
  readonly placeOf: PlaceOf;
  readonly type: 'event_count' | 'value_count';
  /** Names or ids of the event rules it counts. */
  readonly rules: readonly string[];
  readonly groupBy: readonly string[];
  readonly windowMs: number;
  /** Fires when the count reaches this number. */
  readonly threshold: number;
  /** Field whose distinct values count; only for value_count. */
  readonly field: string;
  /** Its event rules alert on their own too. */
  readonly generate: boolean;
}

export type SigmaRule = EventRule | CorrelationRule;

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Parses one rule document. Throws DETECT_RULE_INVALID or CONFIG_INVALID with file:line:column. */
export function parseSigmaRule(text: string, file: string): SigmaRule {
  const isCorrelation = /^correlation\s*:/m.test(text);
  return isCorrelation ? correlationFrom(text, file) : eventFrom(text, file);
}

function eventFrom(text: string, file: string): EventRule {
  const { value: rule, placeOf: placeAt } = parseYamlWithPlaces(text, file, eventRule);
  const placeOf: PlaceOf = (...path) => placeAt(path);
  if (rule.logsource.product !== undefined && rule.logsource.product !== 'edgeward') {
    throw ruleInvalid(
      placeOf('logsource', 'product'),
      `logsource.product is ${rule.logsource.product}, expected edgeward`,
    );
  }
  const { condition, ...rest } = rule.detection;
  const selections = detections.safeParse(rest);
  if (!selections.success) {
    throw ruleInvalid(
      placeOf('detection', String(selections.error.issues[0]?.path[0] ?? '')),
      `detection: ${selections.error.issues[0]?.message ?? 'malformed selection'}`,
    );
  }
  return {
    kind: 'event',
    id: rule.id,
    name: rule.name ?? rule.id,
    title: rule.title,
    level: rule.level,
    tags: rule.tags ?? [],
    placeOf,
    service: rule.logsource.service,
    selections: selections.data,
    condition,
  };
}

function correlationFrom(text: string, file: string): CorrelationRule {
  const { value: rule, placeOf: placeAt } = parseYamlWithPlaces(text, file, correlationRule);
  const placeOf: PlaceOf = (...path) => placeAt(path);
  const { type, condition, timespan } = rule.correlation;
  const threshold = condition.gte ?? (condition.gt === undefined ? undefined : condition.gt + 1);
  const field = condition.field ?? '';
  if (threshold === undefined || (condition.gte !== undefined && condition.gt !== undefined)) {
    throw ruleInvalid(placeOf('correlation', 'condition'), 'correlation.condition needs exactly one of gt and gte');
  }
  if ((type === 'value_count') !== (field !== '')) {
    throw ruleInvalid(
      placeOf('correlation', 'condition'),
      'correlation.condition.field belongs to value_count and only there',
    );
  }
  if (type === 'value_count' && threshold > maxEventsPerGroup) {
    throw ruleInvalid(
      placeOf('correlation', 'condition'),
      `correlation.condition: at most ${maxEventsPerGroup} distinct values are counted, found ${threshold}`,
    );
  }
  return {
    kind: 'correlation',
    id: rule.id,
    name: rule.name ?? rule.id,
    title: rule.title,
    level: rule.level,
    tags: rule.tags ?? [],
    placeOf,
    type,
    rules: rule.correlation.rules,
    groupBy: rule.correlation['group-by'] ?? [],
    windowMs: Number(timespan.slice(0, -1)) * unitMs[timespan.at(-1) as keyof typeof unitMs],
    threshold,
    field,
    generate: rule.correlation.generate ?? false,
  };
}
