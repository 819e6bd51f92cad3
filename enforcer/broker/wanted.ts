// What the grants of an interface are to a broker that knows accounts and topics, and no identities, values or times: for
// each device an account with a role of its own, whose access list is what the grants could ever open. The broker is the
// second layer: wider than the proxy, which judges every message, and closed to everybody who has no account.
import type { Slice, SliceOperation } from '../../policy/bundle/index.ts';
import { devicePlaceholder, topicFiltersFor } from '../../policy/engine/index.ts';

/** ACL types of mosquitto's dynamic security (its README.md, "ACLs"). */
export type AclType = 'publishClientSend' | 'publishClientReceive' | 'subscribePattern' | 'unsubscribePattern';

export interface Acl {
  readonly acltype: AclType;
  readonly topic: string;
}

export interface WantedAccount {
  readonly device: string;
  /** Where the policy leaves one client id only. */
  readonly clientId?: string;
  readonly acls: readonly Acl[];
}

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;

/** Devices that some grant lets connect, by id. */
export function wantedAccounts(slice: Slice, interfaceName: string): readonly WantedAccount[] {
  const entry = slice.interfaces.find(({ name, device }) => name === interfaceName && device === slice.device);
  const known = new Map<string, MqttOperation>();
  for (const operation of entry?.operations ?? []) {
    if (operation.protocol === 'mqtt') known.set(operation.name, operation);
  }
  const granted = new Map<string, Set<MqttOperation>>();
  for (const grant of slice.grants) {
    if (grant.interface !== interfaceName || grant.device !== slice.device) continue;
    for (const subject of grant.subjects) {
      const own = granted.get(subject) ?? new Set();
      for (const operation of grant.operations.flatMap((name) => known.get(name) ?? [])) own.add(operation);
      granted.set(subject, own);
    }
  }
  return [...granted]
    .filter(([, operations]) => [...operations].some(({ actions }) => actions.includes('connect')))
    .map(([device, operations]) => accountOf(device, [...operations]))
    .toSorted((one, other) => (one.device < other.device ? -1 : 1));
}

function accountOf(device: string, operations: readonly MqttOperation[]): WantedAccount {
  const acls = new Map<string, Acl>();
  const add = (acltype: AclType, topic: string): void => void acls.set(aclKey({ acltype, topic }), { acltype, topic });
  for (const { actions, topics, shares } of operations) {
    for (const topic of topicFiltersFor(topics, device)) {
      if (actions.includes('publish')) add('publishClientSend', topic);
      if (actions.includes('subscribe') || actions.includes('receive')) add('publishClientReceive', topic);
      if (!actions.includes('subscribe')) continue;
      add('subscribePattern', topic);
      // mosquitto compares the whole filter, share name and all.
      for (const share of shares) add('subscribePattern', `$share/${share}/${topic}`);
    }
  }
  add('unsubscribePattern', '#');
  const ids = new Set(
    operations.flatMap(({ actions, clientIds = [] }) => (actions.includes('connect') ? clientIds : [])),
  );
  const [only] = ids;
  const one = ids.size === 1 && only !== undefined && only !== '' && !only.endsWith('*');
  return {
    device,
    ...(one ? { clientId: only.replaceAll(devicePlaceholder, () => device) } : {}),
    acls: [...acls.values()].toSorted((a, b) => (aclKey(a) < aclKey(b) ? -1 : 1)),
  };
}

export const aclKey = ({ acltype, topic }: Acl): string => `${acltype} ${topic}`;
