// Who may use an interface: every subject of the inventory, and a device that nobody knows, asked of the engine with
// every binding, every attestation, every risk and every operation that makes a difference.
import type { Slice } from '../../bundle/slice.ts';
import { attributeSchemas, compileConditions } from '../../engine/conditions.ts';
import type { Binding, Freshness, SubjectState } from '../../engine/index.ts';
import { formatTable } from '../../../runtime/table.ts';
import { slicesToAsk } from '../build.ts';
import type { SliceEngine } from '../decide.ts';
import type { Repository } from '../repository.ts';
import { checkName, findInterface } from './question-for.ts';
import type { Question } from './question.ts';
import { forEachCell, spaceOf } from './space.ts';

export interface Permission {
  readonly subject: string;
  readonly device: string;
  readonly operation: string;
  /** Rule and `file:line` that open it. */
  readonly rule: string;
  readonly place: string;
  /** Bindings under which it is open. */
  readonly bindings: readonly Binding[];
  /** What else has to hold, in words. */
  readonly conditions: readonly string[];
  /** Whether every kind of request that is this operation is open to the subject, or only some. */
  readonly extent: 'every' | 'some';
  /** A request that is allowed. */
  readonly example: Question;
  /** Set in observe mode: what the policy itself says. */
  readonly observed?: string;
}

export interface WhoCan {
  readonly interface: string;
  readonly time: number;
  readonly permissions: readonly Permission[];
  /** Devices of the inventory that may nothing there. */
  readonly nobodyElse: readonly string[];
  /** Requests that were asked. */
  readonly asked: number;
  /** What they do not stand for, in words. */
  readonly gaps: readonly string[];
}

export interface WhoCanOptions {
  readonly interface: string;
  /** Only this device; absent for every one that serves the interface. */
  readonly device?: string | undefined;
  /** Only this named operation. */
  readonly operation?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly state: SubjectState;
  readonly freshness: Freshness;
}

/** Throws POLICY_QUESTION_INVALID for a name that the repository does not hold. */
export function whoCan(repository: Repository, engine: SliceEngine, options: WhoCanOptions): WhoCan {
  const entry = findInterface(repository, options.interface);
  if (options.device !== undefined) checkName(`device with interface ${entry.name}:`, options.device, entry.devices);
  const names = entry.operations.map(({ name }) => name);
  if (options.operation !== undefined) checkName(`operation of ${entry.name}`, options.operation, names);
  const devices = entry.devices.filter((device) => options.device === undefined || device === options.device);
  const slices = [...slicesToAsk(repository, new Set(devices)).values()];
  const subjects = repository.devices.map(({ id }) => id);
  const answers = slices.map((slice) => whoCanOnSlice(slice, engine, subjects, options));
  const permissions = answers.flatMap((answer) => answer.permissions);
  const able = new Set(permissions.map(({ subject }) => subject));
  return {
    interface: options.interface,
    time: options.time,
    permissions,
    nobodyElse: subjects.filter((subject) => !able.has(subject)),
    asked: answers.reduce((sum, { asked }) => sum + asked, 0),
    gaps: [...new Set(answers.flatMap(({ gaps }) => gaps))],
  };
}

interface Found {
  readonly first: Permission;
  readonly bindings: Set<Binding>;
  readonly open: Set<object>;
}

export function whoCanOnSlice(
  slice: Slice,
  engine: SliceEngine,
  subjects: readonly string[],
  options: WhoCanOptions,
): Pick<WhoCan, 'permissions' | 'asked' | 'gaps'> {
  const { time, state, freshness } = options;
  const narrowing = { states: [state], freshness: [freshness], times: [time] };
  const space = spaceOf(engine, [slice], options.interface, slice.device, {
    subjects,
    strangers: true,
    now: time,
    narrowing,
  });
  const conditionsOf = conditionWords(slice);
  const found = new Map<string, Found>();
  /** Kinds of request by operation. */
  const kinds = new Map<string, Set<object>>();
  forEachCell(space, ({ request, freshness: fresh, question, members }) => {
    const names = engine.operationsOf(slice, request)?.sure ?? [];
    for (const name of names) kinds.set(name, (kinds.get(name) ?? new Set()).add(request.operation));
    const decision = engine.decide(slice, request, fresh);
    if (!decision.allow) return undefined;
    const { rule, place, observed } = decision;
    // What observe mode lets through need not be an operation that has a name.
    for (const operation of names.length === 0 ? [''] : names) {
      if (options.operation !== undefined && operation !== options.operation) continue;
      for (const subject of members.filter((member) => member !== slice.device)) {
        const key = JSON.stringify([subject, operation, rule, observed]);
        const asked = question();
        const known = found.get(key) ?? {
          first: {
            subject,
            device: slice.device,
            operation,
            rule,
            place,
            bindings: [],
            conditions: conditionsOf(rule),
            extent: 'some' as const,
            example: { ...asked, given: { ...asked.given, subject } },
            ...(observed === undefined ? {} : { observed }),
          },
          bindings: new Set<Binding>(),
          open: new Set<object>(),
        };
        found.set(key, known);
        known.bindings.add(request.subject.binding);
        known.open.add(request.operation);
      }
    }
    return undefined;
  });
  const permissions = [...found.values()].map(({ first, bindings, open }): Permission => ({
    ...first,
    bindings: [...bindings],
    extent: open.size === kinds.get(first.operation)?.size ? 'every' : 'some',
  }));
  return { permissions, asked: space.cells, gaps: space.gaps };
}

function conditionWords({ grants, attributes = [] }: Slice): (rule: string) => readonly string[] {
  const schemas = attributeSchemas(attributes, '');
  const words = new Map(
    grants.map((grant) => [`grant:${grant.id}`, compileConditions(grant, schemas).map(({ name }) => name)]),
  );
  return (rule) => words.get(rule) ?? [];
}

/** A table for a terminal. */
export function formatWhoCan({ interface: name, time, permissions, nobodyElse, asked, gaps }: WhoCan): string {
  const rows = permissions.map((entry) => [
    entry.subject,
    entry.operation === '' ? 'anything' : `${entry.operation}${entry.extent === 'some' ? ' (some of it)' : ''}`,
    entry.device,
    entry.bindings.join(', '),
    entry.observed === undefined ? entry.rule : `observe mode (${entry.observed})`,
    entry.place,
    entry.conditions.join('; '),
  ]);
  const columns = ['subject', 'operation', 'on', 'binding', 'rule', 'place', 'while'];
  const at = new Date(time).toISOString().replace('.000Z', 'Z');
  return [
    rows.length === 0 ? `nobody may use ${name} at ${at}` : formatTable(columns, rows),
    `nobody else: ${nobodyElse.join(', ') || 'every device may something'} (${asked} requests asked, at ${at})`,
    ...gaps.map((gap) => `not exact: ${gap}`),
  ].join('\n');
}
