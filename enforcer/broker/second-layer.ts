// Keeps a broker's accounts and access lists as the policy in force wants them: compares, says what was not so, repairs it.
import type { Clock } from '../../runtime/clock.ts';
import type { Endpoint } from '../proxy/endpoint.ts';
import type { AccountOf, BrokerAccount } from './accounts.ts';
import { openControlClient } from './control-client.ts';
import {
  clientsSchema,
  corrections,
  defaultsSchema,
  groupsSchema,
  passwordCommands,
  rolesSchema,
  type Seen,
} from './difference.ts';
import { brokerErrors } from './errors.ts';
import { MAX_ROUNDS } from './limits.ts';
import type { WantedAccount } from './wanted.ts';

export interface Broker {
  readonly at: Endpoint;
  readonly admin: BrokerAccount;
  readonly accountOf: AccountOf;
  readonly clock: Clock;
}

/**
 * One conversation; resolves with what was repaired, in words. With `passwords` they are set again too, which ends no
 * connection. Throws a BROKER_ error; what was repaired until then stays. A device that is called as the administrator is
 * gets no account: that one would be lost, and every later repair with it.
 */
export async function repair(
  broker: Broker,
  wanted: readonly WantedAccount[],
  passwords: boolean,
): Promise<readonly string[]> {
  const { userName } = broker.admin;
  const others = wanted.filter(({ device }) => device !== userName);
  const said = await repairAll(broker, others, passwords);
  if (others.length === wanted.length) return said;
  throw brokerErrors.error('BROKER_ACCOUNT_TAKEN', `device ${userName} is called as the administrator is`);
}

async function repairAll(
  { at, admin, accountOf, clock }: Broker,
  wanted: readonly WantedAccount[],
  passwords: boolean,
): Promise<readonly string[]> {
  await using control = await openControlClient(at, admin, clock);
  const said: string[] = [];
  // What one command mends can show what it had hidden: a role that is made again is nobody's yet.
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [clients, roles, groups, defaults] = await control.ask([
      { command: 'listClients', verbose: true, count: -1, offset: 0 },
      { command: 'listRoles', verbose: true, count: -1, offset: 0 },
      { command: 'listGroups', verbose: true, count: -1, offset: 0 },
      { command: 'getDefaultACLAccess' },
    ]);
    const found = corrections(wanted, seen(clients, roles, groups, defaults), accountOf, admin.userName);
    if (found.length === 0) {
      if (passwords) await control.ask(passwordCommands(wanted, accountOf));
      return said;
    }
    await control.ask(found.map(({ command }) => command));
    said.push(...found.map(({ why }) => why));
  }
  throw brokerErrors.error(
    'BROKER_CONTESTED',
    `the broker is changed as often as it is repaired: ${said.at(-1) ?? ''}`,
  );
}

function seen(clients: unknown, roles: unknown, groups: unknown, defaults: unknown): Seen {
  try {
    return {
      clients: clientsSchema.parse(clients).clients,
      roles: rolesSchema.parse(roles).roles,
      groups: groupsSchema.parse(groups).groups,
      defaults: defaultsSchema.parse(defaults).acls,
    };
  } catch (cause) {
    throw brokerErrors.error('BROKER_ANSWER_INVALID', 'the broker lists its accounts in another form than documented', {
      cause,
    });
  }
}
