// The second layer at the brokers of this host (`brokers` in edge.yaml): accounts and access lists made of the policy in
// force, compared at an interval and after each bundle, and the accounts that the proxies log devices in with.
import { join } from 'node:path';
import type { EmitEvent } from '../../audit/spool/index.ts';
import {
  type Broker,
  type BrokerAccount,
  createAccounts,
  openAccountKey,
  readAccountKey,
  repair,
  wantedAccounts,
} from '../../enforcer/broker/index.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { readSecret } from '../../runtime/config.ts';
import { CodedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import { isAbort, type Task } from '../../runtime/tasks.ts';
import type { FileSystem } from '../../store/files.ts';
import type { EdgeConfig } from './config.ts';

export interface BrokerParts {
  readonly config: Pick<EdgeConfig, 'brokers'>;
  readonly stored: { readonly fs: FileSystem; readonly stateDir: string };
  readonly slice: () => Slice | undefined;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  readonly log: Logger;
}

export interface Brokers {
  /** The account that a device has at the broker of an interface; undefined where none is configured. */
  readonly loginOf: (interfaceName: string, deviceId: string) => BrokerAccount | undefined;
  readonly task: Task;
}

/** Milliseconds until a new bundle is noticed. */
const lookEveryMs = 1_000;

/** Words of one event about what was repaired; more are counted. */
const maxSaidCharacters = 1_000;

/** Throws SECRET_MISSING, and what keeps the key of the accounts from being read. */
export async function openBrokers(parts: BrokerParts): Promise<Brokers> {
  const { config, stored, clock } = parts;
  const [first] = config.brokers;
  const key = first === undefined ? undefined : await openAccountKey(stored.fs, keyPath(stored.stateDir));
  const looks = await Promise.all(
    config.brokers.map(async ({ interface: name, address, admin: { userName, passwordFile }, intervalSeconds }) => {
      if (key === undefined) throw new TypeError('brokers have a key');
      const admin = { userName, password: await readSecret({ file: passwordFile }) };
      const broker = { at: endpointOf(address), admin, accountOf: createAccounts(key, name), clock };
      return follow(name, broker, intervalSeconds * 1_000, parts);
    }),
  );
  return {
    loginOf: loginsOf(config, key),
    async task(signal) {
      try {
        while (!signal.aborted) {
          for (const look of looks) await look();
          await clock.sleep(lookEveryMs, signal);
        }
      } catch (error) {
        if (!isAbort(error, signal)) throw error;
      }
    },
  };
}

/** For who changes nothing at the broker. Before the key exists nobody is logged in, and the broker refuses. */
export async function readLogins(
  config: BrokerParts['config'],
  { fs, stateDir }: BrokerParts['stored'],
): Promise<Brokers['loginOf']> {
  return loginsOf(config, config.brokers.length === 0 ? undefined : await readAccountKey(fs, keyPath(stateDir)));
}

const keyPath = (stateDir: string): string => join(stateDir, 'broker-accounts.key');

function loginsOf({ brokers }: BrokerParts['config'], key: Buffer | undefined): Brokers['loginOf'] {
  if (key === undefined) return () => undefined;
  const accounts = new Map(brokers.map(({ interface: name }) => [name, createAccounts(key, name)]));
  return (name, device) => (device === '' ? undefined : accounts.get(name)?.(device));
}

/** One look: repairs after a new bundle and when the interval is over, and says so. Never throws. */
function follow(
  name: string,
  broker: Broker,
  intervalMs: number,
  { slice, clock, emit, log }: BrokerParts,
): () => Promise<void> {
  let last: Slice | undefined;
  let due = 0;
  let passwords = true;
  let failing = '';
  return async () => {
    const policy = slice();
    if (policy === undefined || (policy === last && clock.monotonic() < due)) return;
    due = clock.monotonic() + intervalMs;
    try {
      const said = await repair(broker, wantedAccounts(policy, name), passwords);
      // What a new bundle changes is no drift.
      if (said.length > 0) await emit(repaired(name, said, policy === last));
      last = policy;
      passwords = false;
      failing = '';
    } catch (error) {
      const code = error instanceof CodedError ? error.code : 'fault';
      log.warn({ err: error, interface: name }, 'the accounts of a broker could not be compared');
      if (failing !== code) await emit(failed(name, code, error instanceof Error ? error.message : ''));
      failing = code;
      // Where it was started anew, its file may be another.
      passwords = true;
    }
  };
}

function repaired(name: string, said: readonly string[], isDrift: boolean): Parameters<EmitEvent>[0] {
  const message = said.join('; ').slice(0, maxSaidCharacters);
  return {
    kind: 'mqtt',
    activity: 'repair',
    severity: isDrift ? 'high' : 'info',
    data: { interface: name, count: said.length, message, status: isDrift ? 'drift' : 'policy' },
  };
}

function failed(name: string, code: string, message: string): Parameters<EmitEvent>[0] {
  const data = { interface: name, code, message: message.slice(0, maxSaidCharacters), status: 'failed' };
  return { kind: 'mqtt', activity: 'repair', severity: 'medium', data };
}

function endpointOf(text: string): Broker['at'] {
  const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
  return { address, port: Number(port) };
}
