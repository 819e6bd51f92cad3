// Rules about what operations of MQTT interfaces say: topic filters, client ids, bounds.
import type { LintRule } from './lint-rule.ts';

export const mqttRules = {
  POLICY_TOPIC_FILTER: {
    severity: 'error',
    waivable: false,
    explanation:
      'Topics are matched level by level (MQTT 5.0, 4.7): + is a whole level, # the whole last one, {device} the id of the subject. A filter that is none matches nothing.',
    example: "topics: ['plant/#/state'], or topics: ['plant/{devices}/state']",
    fix: 'write + and # as whole levels, and a shared subscription as its filter with its name under shares',
  },
  POLICY_CLIENT_ID_PATTERN: {
    severity: 'error',
    waivable: false,
    explanation:
      'A client id is text with {device} for the id of the subject and at most one * at the end. A star alone, or right behind {device}, would let one device take the name of another.',
    example: "clientIds: ['*'], or clientIds: ['{device}*']",
    fix: "name the client ids, or what they begin with: ['{device}-*', 'mosq-*']",
  },
  POLICY_MQTT_BOUND: {
    severity: 'error',
    waivable: false,
    explanation:
      'retain is about publish; will about connect and publish; shares about subscribe; maxKeepAliveSeconds about connect; maxQos, maxPayloadBytes and json about messages. On another action they bound nothing.',
    example: 'actions: [connect], maxPayloadBytes: 100',
    fix: 'give the bound to an operation that has the action',
  },
  POLICY_CLIENT_ID_SHARED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Who connects under the client id of somebody else ends that session and takes over what is queued for it (MQTT 5.0, 3.1.4). Here a subject may use the id of another device, or several subjects the same one.',
    example: 'clientIds: [hmi-1] in an operation that is granted to gateway-1',
    fix: 'write the id with {device}, or grant the operation to the one device whose id it is',
  },
  POLICY_TOPICS_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation: 'The granted operation covers every topic of the broker, also those that somebody adds tomorrow.',
    example: "topics: ['#'] in an operation that a grant opens",
    fix: 'name the topics, at least the first level',
  },
  POLICY_TOPIC_RESERVED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Topics that start with $ belong to the broker ($SYS, $CONTROL): what is published there may change its settings.',
    example: "actions: [publish], topics: ['$CONTROL/#']",
    fix: 'leave them to the account that administers the broker',
  },
  POLICY_RETAIN_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Retained messages stay until somebody replaces them, and under a filter with # there is no end to how many: the broker fills up, and whoever subscribes later gets them all.',
    example: "retain: true, topics: ['plant/#']",
    fix: 'name the topics that are kept, with + and {device} where needed, in an operation of their own',
  },
} as const satisfies Record<string, LintRule>;
