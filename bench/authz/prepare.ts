// Everything that servers and generator read, made once: the edge's state directory, and the corpus in two series. The
// answers are those of the construction (policy.ts); the engine, asked directly, has to agree before anything is measured.
import { join } from 'node:path';
import { createTestAuthority, type TestAuthority } from '../../test/support/pki.ts';
import { certificatesOf, checkRequests, type Evidence, marksOf } from './check-requests.ts';
import { type Corpus, writeCorpus } from './corpus-file.ts';
import { writeEdgeState } from '../edge-state.ts';
import { createOracle, type Oracle } from './oracle.ts';
import { type FleetPolicy, fleetPolicy, trustDomain } from './policy.ts';

export const seriesNames = ['principal', 'certificate'] as const satisfies readonly Evidence[];

export interface Series {
  /** Where writeCorpus put it. */
  readonly path: string;
  readonly corpus: Corpus;
  /** Mean bytes of a CheckRequest. */
  readonly meanBytes: number;
}

export interface Prepared {
  readonly stateDir: string;
  /** The same edge, whose policy has every allow recorded whole. */
  readonly stateDirAll: string;
  readonly authority: TestAuthority;
  readonly policy: Pick<FleetPolicy, 'rules' | 'accesses'>;
  readonly oracle: Oracle;
  readonly series: Readonly<Record<Evidence, Series>>;
  /** Distinct devices and interfaces that are asked about. */
  readonly devices: number;
  readonly interfaces: number;
  readonly methods: number;
  readonly allowedShare: number;
  /** Devices' URL-encoded certificates. */
  readonly certificates: ReadonlyMap<string, string>;
}

export async function prepare(folder: string, rules: number, requests: number): Promise<Prepared> {
  const now = Date.now();
  const policy = fleetPolicy(rules, requests, now);
  const { accesses } = policy;
  const authority = createTestAuthority(trustDomain);
  const stateDir = join(folder, 'state');
  const edge = await writeEdgeState(stateDir, authority, policy);
  const stateDirAll = join(folder, 'state-all');
  await writeEdgeState(stateDirAll, authority, { ...policy, slice: recordingAll(policy.slice) });
  const oracle = createOracle(edge, authority);
  const certificates = certificatesOf(accesses, authority);
  const make = (evidence: Evidence): Series => {
    const messages = checkRequests(accesses, certificates, evidence, now);
    const expected = messages.map((message, index) => {
      const answer = oracle(message, evidence);
      const access = accesses[index];
      if (access === undefined || answer.allow !== access.allow || answer.subject !== access.device) {
        throw new Error(`engine and construction disagree on ${JSON.stringify(access)}: ${JSON.stringify(answer)}`);
      }
      return answer;
    });
    const marks = messages.map((message, index) => marksOf(message, accesses[index] ?? { path: '' }));
    const path = join(folder, evidence);
    const corpus = { requests: messages, expected, marks };
    writeCorpus(path, corpus);
    return { path, corpus, meanBytes: messages.reduce((sum, { length }) => sum + length, 0) / messages.length };
  };
  const distinct = (of: (access: FleetPolicy['accesses'][number]) => string): number => new Set(accesses.map(of)).size;
  return {
    stateDir,
    stateDirAll,
    authority,
    policy: { rules: policy.rules, accesses },
    oracle,
    series: { principal: make('principal'), certificate: make('certificate') },
    devices: distinct(({ device }) => device),
    interfaces: distinct((access) => access.interface),
    methods: distinct(({ method }) => method),
    allowedShare: accesses.filter(({ allow }) => allow).length / accesses.length,
    certificates,
  };
}

function recordingAll(slice: FleetPolicy['slice']): FleetPolicy['slice'] {
  const interfaces = slice.interfaces.map((entry) => {
    const whole = { ...entry };
    delete whole.allowsSampled;
    return whole;
  });
  return { ...slice, interfaces };
}
