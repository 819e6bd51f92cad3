// Rules over the stream of stored events, in log order. Pure but for its windows: what it notices it returns.
import type { EventData } from '../spool/event.ts';
import { type CorrelationHit, CorrelationWindow } from './correlation.ts';
import { detectErrors } from './errors.ts';
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
  readonly count: number;
  readonly evidence: readonly number[];
  /** The evidence names the device as its subject; otherwise it is only who reported, and may be the victim. */
  readonly attributed: boolean;
  /** Late or historic evidence: a finding, but no live response. */
  readonly retro: boolean;
}

interface CompiledEventRule {
  readonly rule: EventRule;
  readonly matches: Predicate;
  readonly windows: readonly CorrelationWindow[];
  readonly alerts: boolean;
}

export interface Detector {
  readonly rules: number;
  observe(event: ObservedEvent): Detection[];
}

/** Compiles rules (file name to text). Throws DETECT_RULE_INVALID or CONFIG_INVALID with the place of the first fault. */
export function createDetector(texts: Readonly<Record<string, string>>): Detector {
  const parsed = Object.entries(texts).map(([file, text]) => ({ file, rule: parseSigmaRule(text, file) }));
  const windows = parsed.flatMap(({ rule }) => (rule.kind === 'correlation' ? [new CorrelationWindow(rule)] : []));
  const eventRules = parsed.flatMap(({ rule, file }) =>
    rule.kind === 'event' ? [compileRule(rule, file, windows)] : [],
  );
  for (const { file, rule } of parsed) {
    if (rule.kind === 'correlation') mustKnowItsRules(rule, file, eventRules);
  }
  return {
    rules: parsed.length,
    observe: (event) => {
      const flat = flatten(event);
      return eventRules.flatMap((compiled) => judge(compiled, flat, event));
    },
  };
}

function compileRule(rule: EventRule, file: string, windows: readonly CorrelationWindow[]): CompiledEventRule {
  const selections = new Map(
    Object.entries(rule.selections).map(([name, selection]) => [name, compileSelection(selection, file)]),
  );
  const feeding = windows.filter(({ rule: { rules } }) => rules.includes(rule.name) || rules.includes(rule.id));
  return {
    rule,
    matches: compileCondition(rule.condition, selections, file),
    windows: feeding,
    alerts: feeding.length === 0 || feeding.some((window) => window.rule.generate),
  };
}

function mustKnowItsRules(rule: CorrelationRule, file: string, known: readonly CompiledEventRule[]): void {
  for (const name of rule.rules) {
    if (known.some((entry) => entry.rule.name === name || entry.rule.id === name)) continue;
    throw detectErrors.error('DETECT_RULE_INVALID', `correlation.rules: no event rule is named "${name}"`, {
      place: { file },
    });
  }
}

function judge(compiled: CompiledEventRule, flat: FlatEvent, event: ObservedEvent): Detection[] {
  const { rule } = compiled;
  if (rule.service !== undefined && rule.service !== event.kind) return [];
  if (!compiled.matches(flat)) return [];
  const own = compiled.alerts
    ? [detection(rule, event, { evidence: [event.index], firstTime: event.time, count: 1 })]
    : [];
  const correlated = compiled.windows.flatMap((window) => {
    const hit = window.add(flat, event.time, event.index);
    return hit === undefined ? [] : [detection(window.rule, event, hit)];
  });
  return [...own, ...correlated];
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
    count: hit.count,
    evidence: hit.evidence.slice(-maxEvidence),
    attributed: isAttributed(event),
    retro: event.receivedAt - event.time > retroAfterMs,
  };
}

/** An address that failed the anti-spoofing check accuses nobody: otherwise a forged packet could contain a healthy device. */
export function subjectOf(event: ObservedEvent): string {
  return isAttributed(event) ? String(event.data['subject']) : event.reporter;
}

function isAttributed(event: ObservedEvent): boolean {
  const subject = event.data['subject'];
  const forged = String(event.data['rule'] ?? '').startsWith('spoofed');
  return typeof subject === 'string' && subject !== '' && !forged;
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
