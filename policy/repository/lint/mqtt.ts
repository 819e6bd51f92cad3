// MQTT operations: filters and client ids that say what they mean, bounds that bound something, and grants that open more
// than anybody can have thought of.
import { clientIdPatternFault, matchesClientId, readClientIdPattern } from '../../engine/mqtt-client-id.ts';
import { devicePlaceholder, topicFilterFault } from '../../engine/mqtt-topic.ts';
import type { MqttAction } from '../../bundle/mqtt.ts';
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Problems } from '../problems.ts';
import type { Grant, Interface, Repository } from '../repository.ts';

type MqttOperation = Extract<SliceOperation, { protocol: 'mqtt' }>;

export function lintMqtt(repository: Repository, problems: Problems): void {
  for (const entry of repository.interfaces) {
    for (const operation of entry.operations) {
      if (operation.protocol !== 'mqtt') continue;
      lintForm(entry, operation, problems);
      const grants = repository.grants.filter(
        (grant) => grant.interface === entry.name && grant.operations.includes(operation.name),
      );
      for (const grant of grants) lintGranted(grant, entry, operation, problems);
      lintClientIds(repository, grants, entry, operation, problems);
    }
  }
}

function lintForm({ name, at }: Interface, operation: MqttOperation, problems: Problems): void {
  for (const [index, topic] of operation.topics.entries()) {
    const fault = topicFilterFault(topic);
    if (fault === undefined) continue;
    problems.add('POLICY_TOPIC_FILTER', at('operations', operation.name, 'topics', index), `${topic}: ${fault}`);
  }
  for (const pattern of operation.clientIds ?? []) {
    const fault = clientIdPatternFault(pattern);
    if (fault === undefined) continue;
    problems.add('POLICY_CLIENT_ID_PATTERN', at('operations', operation.name, 'clientIds'), `${pattern}: ${fault}`);
  }
  for (const { key, isSet, actions } of bounds) {
    if (!isSet(operation) || actions.some((action) => operation.actions.includes(action))) continue;
    const message = `${key} of ${operation.name} of ${name} is about ${actions.join(' or ')}, which it does not have`;
    problems.add('POLICY_MQTT_BOUND', at('operations', operation.name, key), message);
  }
}

interface Bound {
  readonly key: keyof MqttOperation;
  readonly isSet: (operation: MqttOperation) => boolean;
  readonly actions: readonly MqttAction[];
}

/** What is subscribed to is received. */
const messages = ['publish', 'subscribe', 'receive'] as const;

const bounds: readonly Bound[] = [
  { key: 'maxQos', isSet: ({ maxQos }) => maxQos !== undefined, actions: messages },
  { key: 'retain', isSet: ({ retain }) => retain, actions: ['publish'] },
  { key: 'will', isSet: ({ will }) => will, actions: ['connect', 'publish'] },
  { key: 'shares', isSet: ({ shares }) => shares.length > 0, actions: ['subscribe'] },
  { key: 'maxPayloadBytes', isSet: ({ maxPayloadBytes }) => maxPayloadBytes !== undefined, actions: messages },
  { key: 'json', isSet: ({ json }) => json !== undefined, actions: messages },
  {
    key: 'maxKeepAliveSeconds',
    isSet: ({ maxKeepAliveSeconds }) => maxKeepAliveSeconds !== undefined,
    actions: ['connect'],
  },
];

function lintGranted(grant: Grant, entry: Interface, operation: MqttOperation, problems: Problems): void {
  const about = { grant: grant.id };
  const place = grant.at('operations', grant.operations.indexOf(operation.name));
  const what = `${operation.name} of ${entry.name}`;
  const publishes = operation.actions.includes('publish');
  for (const topic of operation.topics) {
    if (topic === '#' || topic === '+/#') {
      problems.add('POLICY_TOPICS_WIDE', place, `${what} is every topic (${topic})`, about);
    }
    if (publishes && topic.startsWith('$')) {
      problems.add('POLICY_TOPIC_RESERVED', place, `${what} publishes to ${topic}`, about);
    }
    if (publishes && operation.retain && topic.endsWith('#')) {
      problems.add('POLICY_RETAIN_WIDE', place, `${what} leaves any number of messages under ${topic}`, about);
    }
  }
}

function lintClientIds(
  { devices }: Repository,
  grants: readonly Grant[],
  entry: Interface,
  operation: MqttOperation,
  problems: Problems,
): void {
  if (!operation.actions.includes('connect')) return;
  const known = devices.map(({ id }) => id);
  for (const text of operation.clientIds ?? []) {
    const pattern = readClientIdPattern(text);
    // For who has none the broker chooses one of its own.
    const isForAll = text !== '' && !text.includes(devicePlaceholder);
    const connecting = grants.flatMap((grant) => grant.subjects.map((subject) => ({ grant, subject })));
    const others = (subject: string): string | undefined =>
      known.find((id) => id !== subject && matchesClientId(pattern, id, subject)) ??
      (isForAll ? connecting.find((other) => other.subject !== subject)?.subject : undefined);
    const found = connecting.find(({ subject }) => others(subject) !== undefined);
    if (found === undefined) continue;
    const { grant, subject } = found;
    const message = `${operation.name} of ${entry.name} lets ${subject} connect as ${text}, as ${others(subject)} may be known`;
    const place = grant.at('operations', grant.operations.indexOf(operation.name));
    problems.add('POLICY_CLIENT_ID_SHARED', place, message, { grant: grant.id });
  }
}
