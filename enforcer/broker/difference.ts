// What has to be said to mosquitto's dynamic security plugin so that its accounts and roles are the wanted ones. What is not
// Edgeward's (accounts and roles under other names) is left alone.
import { z } from 'zod';
import type { AccountOf } from './accounts.ts';
import type { WantedAccount } from './wanted.ts';

/** A command of the control topic, as JSON (mosquitto plugins/dynamic-security/README.md). */
export type Command = Readonly<Record<string, unknown>> & { readonly command: string };

const acl = z.object({
  acltype: z.string(),
  topic: z.string().default(''),
  priority: z.int().default(0),
  allow: z.boolean().default(false),
});
const member = z.object({ rolename: z.string().optional(), groupname: z.string().optional() });

export const clientsSchema = z.object({
  clients: z.array(
    z.object({
      username: z.string(),
      clientid: z.string().optional(),
      disabled: z.boolean().default(false),
      roles: z.array(member).default([]),
      groups: z.array(member).default([]),
    }),
  ),
});
export const rolesSchema = z.object({
  roles: z.array(z.object({ rolename: z.string(), acls: z.array(acl).default([]) })),
});
export const groupsSchema = z.object({
  groups: z.array(z.object({ groupname: z.string(), roles: z.array(member).default([]) })),
});
export const defaultsSchema = z.object({ acls: z.array(z.object({ acltype: z.string(), allow: z.boolean() })) });

export interface Seen {
  readonly clients: z.infer<typeof clientsSchema>['clients'];
  readonly roles: z.infer<typeof rolesSchema>['roles'];
  readonly groups: z.infer<typeof groupsSchema>['groups'];
  readonly defaults: z.infer<typeof defaultsSchema>['acls'];
}

/** What nobody's role says is denied; taking a subscription back needs nothing. */
const defaults: readonly (readonly [acltype: string, allow: boolean])[] = [
  ['publishClientSend', false],
  ['publishClientReceive', false],
  ['subscribe', false],
  ['unsubscribe', true],
];

const prefix = 'edgeward:';
const roleOf = (device: string): string => `${prefix}${device}`;

/** A command, and in words what was not as wanted. */
export interface Correction {
  readonly command: Command;
  readonly why: string;
}

/**
 * In an order in which each can be carried out. Empty when all is as wanted. `admin`: the account that says it, which is
 * nobody's to change.
 */
export function corrections(
  wanted: readonly WantedAccount[],
  seen: Seen,
  accountOf: AccountOf,
  admin: string,
): readonly Correction[] {
  return [
    ...defaultCorrections(seen),
    ...wanted.flatMap((account) => roleCorrection(account, seen)),
    ...wanted.flatMap((account) => clientCorrections(account, seen, accountOf)),
    ...adminCorrections(seen, admin),
    ...groupCorrections(seen),
    ...leftovers(wanted, seen, admin),
  ];
}

function defaultCorrections(seen: Seen): readonly Correction[] {
  const acls = defaults
    .filter(([acltype, allow]) => seen.defaults.find((entry) => entry.acltype === acltype)?.allow !== allow)
    .map(([acltype, allow]) => ({ acltype, allow }));
  if (acls.length === 0) return [];
  const why = `default access of ${acls.map(({ acltype }) => acltype).join(', ')}`;
  return [{ command: { command: 'setDefaultACLAccess', acls }, why }];
}

function roleCorrection({ device, acls: wanted }: WantedAccount, { roles }: Seen): readonly Correction[] {
  const rolename = roleOf(device);
  const acls = wanted.map((entry) => ({ ...entry, priority: 0, allow: true }));
  const role = roles.find((one) => one.rolename === rolename);
  if (role === undefined)
    return [{ command: { command: 'createRole', rolename, acls }, why: `role ${rolename} is missing` }];
  const keys = (list: readonly { acltype: string; topic: string; priority: number; allow: boolean }[]): string =>
    JSON.stringify(list.map((one) => [one.acltype, one.topic, one.priority, one.allow].join(' ')).toSorted());
  if (keys(role.acls) === keys(acls)) return [];
  return [{ command: { command: 'modifyRole', rolename, acls }, why: `role ${rolename} has another access list` }];
}

function clientCorrections(account: WantedAccount, { clients }: Seen, accountOf: AccountOf): readonly Correction[] {
  const { userName: username, password } = accountOf(account.device);
  const client = clients.find((one) => one.username === username);
  const whole = {
    username,
    password,
    clientid: account.clientId ?? '',
    roles: [{ rolename: roleOf(account.device), priority: 0 }],
  };
  if (client === undefined) {
    const { clientid, ...others } = whole;
    const command = { command: 'createClient', ...others, ...(clientid === '' ? {} : { clientid }) };
    return [{ command, why: `account ${username} is missing` }];
  }
  const found: Correction[] = [];
  if (client.disabled) {
    found.push({ command: { command: 'enableClient', username }, why: `account ${username} is disabled` });
  }
  const roles = client.roles.map(({ rolename }) => rolename).join(' ');
  const same =
    roles === roleOf(account.device) && client.groups.length === 0 && (client.clientid ?? '') === whole.clientid;
  if (!same) {
    const command = { command: 'modifyClient', ...whole, groups: [] };
    found.push({ command, why: `account ${username} has other roles, groups or another client id` });
  }
  return found;
}

/**
 * Deleted as another account with such a role is, it would take every later repair with it. mosquitto ends our connection
 * with the change: the next comparison goes on.
 */
function adminCorrections({ clients }: Seen, admin: string): readonly Correction[] {
  const own = clients.find(({ username }) => username === admin)?.roles ?? [];
  return own.flatMap(({ rolename = '' }) =>
    rolename.startsWith(prefix)
      ? [
          {
            command: { command: 'removeClientRole', username: admin, rolename },
            why: `the administrator has the role ${rolename}`,
          },
        ]
      : [],
  );
}

/** Whoever is in the group would have what a device has. */
function groupCorrections({ groups }: Seen): readonly Correction[] {
  return groups.flatMap(({ groupname, roles }) =>
    roles.flatMap(({ rolename = '' }) =>
      rolename.startsWith(prefix)
        ? [
            {
              command: { command: 'removeGroupRole', groupname, rolename },
              why: `group ${groupname} has the role ${rolename}`,
            },
          ]
        : [],
    ),
  );
}

/**
 * Accounts and roles of devices that are no longer granted anything, and whoever else was given such a role. Accounts go
 * first: mosquitto 2.0.11 falls over when a role is deleted that an account has.
 */
function leftovers(wanted: readonly WantedAccount[], { clients, roles }: Seen, admin: string): readonly Correction[] {
  const devices = new Set(wanted.map(({ device }) => device));
  const gone = clients.filter(
    ({ username, roles: own }) =>
      username !== admin && !devices.has(username) && own.some(({ rolename }) => rolename?.startsWith(prefix) === true),
  );
  const left = roles.filter(
    ({ rolename }) => rolename.startsWith(prefix) && !devices.has(rolename.slice(prefix.length)),
  );
  return [
    ...gone.map(({ username }) => ({
      command: { command: 'deleteClient', username },
      why: `account ${username} is granted nothing`,
    })),
    ...left.map(({ rolename }) => ({
      command: { command: 'deleteRole', rolename },
      why: `role ${rolename} is nobody's`,
    })),
  ];
}

/** Sets the password of every account again, where it may have been changed: the broker tells nobody. */
export function passwordCommands(wanted: readonly WantedAccount[], accountOf: AccountOf): readonly Command[] {
  return wanted.map(({ device }) => {
    const { userName: username, password } = accountOf(device);
    return { command: 'setClientPassword', username, password };
  });
}
