// Least privilege: what of the grants no recorded decision used, and how far the record can tell. Absence of evidence is
// not evidence: what was not recorded, or may not have been, is said to be undetermined.
import { formatYaml } from '../../../runtime/yaml.ts';
import { placeText, type Grant, type Repository } from '../repository.ts';
import type { DecisionRecord, RecordedDecision } from './recorded.ts';

export interface UnusedGrant {
  readonly grant: string;
  /** `file:line`. */
  readonly place: string;
  /** `whole`: nothing of it was used. */
  readonly verdict: 'whole' | 'part' | 'used' | 'undetermined';
  /** Allowed requests that it opened. */
  readonly uses: number;
  /** Last of them, milliseconds since the epoch; absent without one. */
  readonly lastUsed?: number;
  readonly unusedOperations: readonly string[];
  readonly unusedSubjects: readonly string[];
  /** Why nothing can be said, or less than it seems. */
  readonly doubts: readonly string[];
  /** The keys of the grant that would change, as YAML; absent where nothing should. A whole grant is to be removed. */
  readonly proposal?: string;
}

export interface UnusedReport {
  /** First and last event, milliseconds since the epoch; absent without events. */
  readonly first?: number;
  readonly last?: number;
  readonly decisions: number;
  /** Devices that serve an interface and of which there is no event at all. */
  readonly silentDevices: readonly string[];
  /** Events of devices that say that something is missing. */
  readonly holes: number;
  readonly grants: readonly UnusedGrant[];
}

/** What enforcement points put on record of what they allow. */
export const recordedOf: Readonly<{ readonly [protocol: string]: string }> = {
  http: 'every allowed request is recorded, or in a count of its subject, operation and rule',
  modbus: 'the first of each subject, operation and rule in a minute is recorded, the rest of the minute as a count',
  mqtt: 'the same, of each action, unless audit.classes says all',
  tls: 'the same, of each connection',
  port: 'allowed connections to opaque ports are not recorded',
};

export function unusedGrants(repository: Repository, record: DecisionRecord): UnusedReport {
  const serving = new Set(repository.interfaces.flatMap(({ devices }) => devices));
  return {
    ...(record.first === undefined ? {} : { first: record.first }),
    ...(record.last === undefined ? {} : { last: record.last }),
    decisions: record.decisions.length,
    silentDevices: [...serving].filter((device) => !record.senders.has(device)).sort(),
    holes: record.holes.length,
    grants: repository.grants.map((grant) => judge(repository, grant, record)),
  };
}

function judge(repository: Repository, grant: Grant, record: DecisionRecord): UnusedGrant {
  const used = record.decisions.filter(({ allow, rule }) => allow && rule === `grant:${grant.id}`);
  const doubts = doubtsAbout(repository, grant, record);
  const unusedOperations = without(grant.operations, used, ({ operation }) => operation);
  const unusedSubjects = without(grant.subjects, used, ({ subject }) => subject);
  const uses = used.reduce((sum, { count }) => sum + count, 0);
  const last = used.reduce((latest, { time }) => Math.max(latest, time), 0);
  const complete = unusedOperations.length + unusedSubjects.length === 0;
  const verdict = complete ? 'used' : doubts.length > 0 ? 'undetermined' : uses === 0 ? 'whole' : 'part';
  const kept = {
    id: grant.id,
    ...(unusedSubjects.length === 0 ? {} : { subjects: grant.subjects.filter((id) => !unusedSubjects.includes(id)) }),
    ...(unusedOperations.length === 0
      ? {}
      : { operations: grant.operations.filter((name) => !unusedOperations.includes(name)) }),
  };
  return {
    grant: grant.id,
    place: placeText(grant.at('id')),
    verdict,
    uses,
    ...(uses === 0 ? {} : { lastUsed: last }),
    unusedOperations,
    unusedSubjects,
    doubts,
    ...(verdict === 'part' ? { proposal: formatYaml([kept]) } : {}),
  };
}

function without(
  all: readonly string[],
  used: readonly RecordedDecision[],
  of: (one: RecordedDecision) => string,
): string[] {
  const seen = new Set(used.map(of));
  return all.filter((name) => !seen.has(name));
}

function doubtsAbout({ interfaces }: Repository, grant: Grant, record: DecisionRecord): string[] {
  const entry = interfaces.find(({ name }) => name === grant.interface);
  const devices = entry?.devices ?? [];
  const silent = devices.filter((device) => !record.senders.has(device));
  const broken = new Set(record.holes.map(({ device }) => device));
  const holed = devices.filter((device) => broken.has(device));
  const lumped = record.decisions.filter(
    ({ allow, rule, interface: name, subject }) =>
      allow && rule === '' && name === grant.interface && (subject === '' || grant.subjects.includes(subject)),
  );
  return [
    ...(record.decisions.length === 0 ? ['the record holds no decision'] : []),
    ...(entry?.protocol === 'port' ? [recordedOf['port'] ?? ''] : []),
    ...(silent.length === 0 ? [] : [`no event at all came from ${silent.join(', ')}`]),
    ...(holed.length === 0 ? [] : [`events of ${holed.join(', ')} are missing in the log`]),
    ...(lumped.length === 0 ? [] : [`${lumped.length} records stand for many requests and name no rule`]),
  ];
}

/** Lines for a terminal. */
export function formatUnused(report: UnusedReport): string {
  const { first, last, decisions, silentDevices, holes, grants } = report;
  const at = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
  const period = first === undefined || last === undefined ? 'no events' : `${at(first)} to ${at(last)}`;
  const lines = grants.flatMap((entry) => {
    const { grant, place, verdict, uses, lastUsed, unusedOperations, unusedSubjects, doubts, proposal } = entry;
    const missing = [
      ...(unusedOperations.length === 0 ? [] : [`operations ${unusedOperations.join(', ')}`]),
      ...(unusedSubjects.length === 0 ? [] : [`subjects ${unusedSubjects.join(', ')}`]),
    ].join('; ');
    const often = uses === 0 ? 'never used' : `used ${uses} times, last ${at(lastUsed ?? 0)}`;
    switch (verdict) {
      case 'used':
        return [`used          ${place}: grant ${grant}: ${often}, all of it`];
      case 'whole':
        return [`UNUSED        ${place}: grant ${grant}: never used; remove it`];
      case 'part':
        return [
          `TOO WIDE      ${place}: grant ${grant}: ${often}, never for ${missing}; narrow it to`,
          ...(proposal ?? '')
            .trimEnd()
            .split('\n')
            .map((line) => `                ${line}`),
        ];
      case 'undetermined':
        return [
          `undetermined  ${place}: grant ${grant}: ${often}${missing === '' ? '' : `, not seen: ${missing}`}; ${doubts.join('; ')}`,
        ];
    }
  });
  return [
    ...lines,
    `the record: ${period}, ${decisions} decisions${holes === 0 ? '' : `, ${holes} reports of lost events`}`,
    ...(silentDevices.length === 0 ? [] : [`no event at all came from ${silentDevices.join(', ')}`]),
    ...Object.entries(recordedOf).map(([protocol, what]) => `${protocol}: ${what}`),
  ].join('\n');
}
