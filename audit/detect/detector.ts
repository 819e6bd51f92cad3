// Rules over the stream of stored events, in log order. Pure but for its windows: what it notices it returns.
import type { EventData } from '../spool/event.ts';
import { type CorrelationHit, CorrelationWindow, weightOf } from './correlation.ts';
import { ruleInvalid } from './errors.ts';
import { maxEvidence, retroAfterMs } from './limits.ts';
import { compileCondition } from './sigma-condition.ts';
import { compileSelection, type FlatEvent, type Predicate } from './sigma-match.ts';
import { type CorrelationRule, type EventRule, type Level, parseSigmaRule } from './sigma-rule.ts';

/** A stored event as detection sees it. */
export interface ObservedEvent {
  readonly index: number;
  /** Device that reported it (from its verified SVID), or `control`. */
  readonly reporter: string;
  readonly receivedAt: number;
  readonly time: number;
  readonly kind: string;
  readonly activity: string;
  readonly severity: string;
  readonly data: EventData;
  /** The reporter names a subject that it is in no position to accuse: its word counts as if it had named none. */
  readonly disputed?: boolean;
}

export interface Detection {
  readonly ruleId: string;
  readonly title: string;
  readonly level: Level;
  readonly tags: readonly string[];
  /** Device it is about: the subject of the events, else their reporter. */
  readonly device: string;
  /** Devices that reported the evidence. A suspect that accuses itself and others is one reporter. */
  readonly reporter: string;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly count: number;
  /** Log indices; the last one is the event that made the rule match. */
  readonly evidence: readonly number[];
  /** The evidence names the device as its subject; otherwise it is only who reported, and may be the victim. */
  readonly attributed: boolean;
  /** Late or historic evidence: a finding, but no live response. */
  readonly retro: boolean;
}

/** Reporter of what the control plane itself says. */
export const controlReporter = 'control';

interface CompiledEventRule {
  readonly rule: EventRule;
  readonly matches: Predicate;
  readonly windows: readonly CorrelationWindow[];
  readonly alerts: boolean;
}

export interface Detector {
  readonly rules: number;
  /** Milliseconds of the longest correlation; 0 when no rule looks back. */
  readonly longestWindowMs: number;
  observe(event: ObservedEvent): Detection[];
}

/** Compiles rules (file name to text). Throws DETECT_RULE_INVALID or CONFIG_INVALID with the place of the first fault. */
export function createDetector(texts: Readonly<Record<string, string>>): Detector {
  const parsed = Object.entries(texts).map(([file, text]) => ({ file, rule: parseSigmaRule(text, file) }));
  const windows = parsed.flatMap(({ rule }) => (rule.kind === 'correlation' ? [new CorrelationWindow(rule)] : []));
  const eventRules = parsed.flatMap(({ rule }) => (rule.kind === 'event' ? [compileRule(rule, windows)] : []));
  for (const [at, { rule }] of parsed.entries()) {
    mustBeTheOnly(rule, parsed.slice(0, at));
    if (rule.kind === 'correlation') mustKnowItsRules(rule, eventRules);
  }
  return {
    rules: parsed.length,
    longestWindowMs: Math.max(0, ...windows.map((window) => window.rule.windowMs)),
    observe: (reported) => {
      // A clock that runs ahead says nothing about the future: an event happened at the latest when it was received.
      const event = { ...reported, time: Math.min(reported.time, reported.receivedAt) };
      return judge(eventRules, event);
    },
  };
}

function compileRule(rule: EventRule, windows: readonly CorrelationWindow[]): CompiledEventRule {
  const selections = new Map(
    Object.entries(rule.selections).map(([name, selection]) => [
      name,
      compileSelection(selection, (...path) => rule.placeOf('detection', name, ...path)),
    ]),
  );
  const feeding = windows.filter(({ rule: { rules } }) => rules.includes(rule.name) || rules.includes(rule.id));
  return {
    rule,
    matches: compileCondition(rule.condition, selections, rule.placeOf('detection', 'condition')),
    windows: feeding,
    alerts: feeding.length === 0 || feeding.some((window) => window.rule.generate),
  };
}

/** Findings are told apart by rule id and correlations name rules, so neither may mean two. */
function mustBeTheOnly(
  rule: EventRule | CorrelationRule,
  before: readonly { readonly file: string; readonly rule: EventRule | CorrelationRule }[],
): void {
  const names = new Set([rule.id, rule.name]);
  const other = before.find((entry) => names.has(entry.rule.id) || names.has(entry.rule.name));
  if (other === undefined) return;
  throw ruleInvalid(rule.placeOf('id'), `id or name is used in ${other.file} already`);
}

function mustKnowItsRules(rule: CorrelationRule, known: readonly CompiledEventRule[]): void {
  for (const [n, name] of rule.rules.entries()) {
    if (known.some((entry) => entry.rule.name === name || entry.rule.id === name)) continue;
    throw ruleInvalid(rule.placeOf('correlation', 'rules', n), `correlation.rules: no event rule is named "${name}"`);
  }
}

function judge(rules: readonly CompiledEventRule[], event: ObservedEvent): Detection[] {
  const flat = flatten(event);
  const matching = rules.filter(
    ({ rule, matches }) => (rule.service === undefined || rule.service === event.kind) && matches(flat),
  );
  const alone: CorrelationHit = {
    evidence: [event.index],
    firstTime: event.time,
    lastTime: event.time,
    count: weightOf(flat),
  };
  // Late batches come in order for each device, so the clocks of two never mix; live ones are to be counted together.
  const lot = JSON.stringify([isLate(event) ? event.reporter : '', isAttributed(event)]);
  // An event that matches two rules of one correlation is one event.
  const windows = new Set(matching.flatMap((compiled) => compiled.windows));
  return [
    ...matching.filter((compiled) => compiled.alerts).map(({ rule }) => detection(rule, event, alone)),
    ...[...windows].flatMap((window) => {
      const hit = window.add({ flat, time: event.time, index: event.index, lot });
      return hit === undefined ? [] : [detection(window.rule, event, hit)];
    }),
  ];
}

function detection(rule: EventRule | CorrelationRule, event: ObservedEvent, hit: CorrelationHit): Detection {
  return {
    ruleId: rule.id,
    title: rule.title,
    level: rule.level,
    tags: rule.tags,
    device: subjectOf(event),
    reporter: event.reporter,
    firstTime: hit.firstTime,
    lastTime: hit.lastTime,
    count: hit.count,
    evidence: hit.evidence.slice(-maxEvidence),
    attributed: isAttributed(event),
    retro: isLate(event),
  };
}

const isLate = (event: ObservedEvent): boolean => event.receivedAt - event.time > retroAfterMs;

/**
 * The device an event is about: its subject when that is established, else the device the control plane names, else who
 * reports it. An address that failed the anti-spoofing check accuses nobody, nor does a reporter that has no business
 * with the subject: otherwise a forged packet or one edge that was taken over could contain healthy devices.
 */
export function subjectOf(event: ObservedEvent): string {
  if (isAttributed(event)) return String(event.data['subject']);
  const named = event.data['device'];
  return event.reporter === controlReporter && typeof named === 'string' && named !== '' ? named : event.reporter;
}

function isAttributed(event: ObservedEvent): boolean {
  const subject = event.data['subject'];
  const forged = String(event.data['rule'] ?? '').startsWith('spoofed');
  return typeof subject === 'string' && subject !== '' && !forged && event.disputed !== true;
}

function flatten(event: ObservedEvent): FlatEvent {
  return {
    ...event.data,
    kind: event.kind,
    activity: event.activity,
    severity: event.severity,
    reporter: event.reporter,
    subject: subjectOf(event),
  };
}
