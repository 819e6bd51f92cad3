import type { meaningRules } from '../rules/meaning-rules.ts';
import type { mqttRules } from '../rules/mqtt-rules.ts';
import type { repositoryRules } from '../rules/repository-rules.ts';
import { testRules, type Files, type RuleCase } from './testing/rule-cases.ts';

const broker = (operation: string): Files => ({
  'interfaces/more.yaml': `interfaces:
  - name: broker
    device: plc-1
    protocol: mqtt
    port: 1883
    operations:
      one: {${operation}}
`,
});
const granted = (operation: string, subjects = 'gateway-1', binding = 'svid'): Files => ({
  ...broker(operation),
  'grants/more.yaml': `grants:
  - id: more
    subjects: [${subjects}]
    interface: broker
    operations: [one]
    binding: ${binding}
`,
});
const tls = (names: string, binding = 'ip'): Files => ({
  'interfaces/more.yaml': `interfaces:
  - name: camera
    device: plc-1
    protocol: tls
    port: 443
    operations:
      one: {names: [${names}]}
`,
  'grants/more.yaml': `grants:
  - id: more
    subjects: [gateway-1]
    interface: camera
    operations: [one]
    binding: ${binding}
`,
});
/** Place of the last such text of the operation. */
const at = (files: Files, text: string): readonly [Files, string] => {
  const line = (files['interfaces/more.yaml'] ?? '').split('\n')[6] ?? '';
  return [files, `interfaces/more.yaml:7:${line.lastIndexOf(text) + 1}`];
};
const grant = 'grants/more.yaml:5:18';

const cases: Readonly<Record<keyof typeof mqttRules, RuleCase>> = {
  POLICY_TOPIC_FILTER: {
    fires: [
      at(broker("actions: [publish], topics: [a, 'a/#/b']"), "'a/#/b'"),
      at(broker("actions: [subscribe], topics: ['a/{devices}']"), "'a/{dev"),
      at(broker("actions: [subscribe], topics: ['$share/x/a']"), "'$share"),
      at(broker("actions: [receive], topics: ['a+']"), "'a+'"),
    ],
    silent: [broker("actions: [publish], topics: ['a/{device}/+/b-{device}/#', '/', '$SYS/x', 'ä b']")],
  },
  POLICY_CLIENT_ID_PATTERN: {
    fires: [
      at(broker("actions: [connect], clientIds: ['*']"), "['*'"),
      at(broker("actions: [connect], clientIds: ['{device}*']"), "['{device}*"),
      at(broker("actions: [connect], clientIds: [a, 'a*b']"), "[a, 'a*"),
      at(broker("actions: [connect], clientIds: ['{dev}']"), "['{dev}"),
    ],
    silent: [broker("actions: [connect], clientIds: ['', '{device}', '{device}-*', 'mosq-*', 'a b']")],
  },
  POLICY_MQTT_BOUND: {
    fires: [
      at(broker('actions: [connect], maxPayloadBytes: 10'), '10'),
      at(broker('actions: [connect], maxQos: 1'), '1}'),
      at(broker("actions: [connect], json: {'/t': 0-1}"), "{'/t'"),
      at(broker('actions: [subscribe], topics: [a], retain: true'), 'true'),
      at(broker('actions: [receive], topics: [a], will: true'), 'true'),
      at(broker('actions: [publish], topics: [a], shares: [x]'), '[x]'),
      at(broker('actions: [publish], topics: [a], maxKeepAliveSeconds: 5'), '5}'),
    ],
    silent: [
      broker('actions: [connect], will: true, maxKeepAliveSeconds: 5'),
      broker("actions: [publish], topics: [a], will: true, retain: true, maxQos: 0, json: {'/t': -40-85}"),
      broker("actions: [subscribe], topics: [a], shares: [x], maxPayloadBytes: 5, json: {'': 0.5-1.5}"),
    ],
  },
  POLICY_CLIENT_ID_SHARED: {
    fires: [
      [granted('actions: [connect], clientIds: [hmi-1]'), grant],
      [granted("actions: [connect], clientIds: ['hmi-*']"), grant],
      [granted("actions: [connect], clientIds: ['old']", 'gateway-1, hmi-1'), grant],
      [granted("actions: [connect], clientIds: ['old-*']", 'gateway-1, hmi-1'), grant],
    ],
    silent: [
      granted("actions: [connect], clientIds: [old, 'old-*', gateway-1, '']"),
      granted("actions: [connect], clientIds: ['', '{device}-*', 'x-{device}']", 'gateway-1, hmi-1'),
      granted('actions: [connect]', 'gateway-1, hmi-1'),
      broker('actions: [connect], clientIds: [hmi-1]'),
    ],
  },
  POLICY_TOPICS_WIDE: {
    fires: [
      [granted("actions: [subscribe], topics: ['#']"), grant],
      [granted("actions: [publish], topics: [a, '+/#']"), grant],
    ],
    silent: [granted("actions: [subscribe], topics: ['a/#', '+/a']"), broker("actions: [subscribe], topics: ['#']")],
  },
  POLICY_TOPIC_RESERVED: {
    fires: [[granted("actions: [publish], topics: ['$CONTROL/#']"), grant]],
    silent: [granted("actions: [subscribe], topics: ['$SYS/#']"), granted("actions: [publish], topics: ['a/$x']")],
  },
  POLICY_RETAIN_WIDE: {
    fires: [[granted("actions: [publish], topics: [a, 'a/#'], retain: true"), grant]],
    silent: [
      granted("actions: [publish], topics: ['a/{device}/+'], retain: true"),
      granted("actions: [publish], topics: ['a/#']"),
    ],
  },
};

testRules(cases);

/** Rules that are about other protocols too. */
const others: Readonly<Partial<Record<keyof typeof meaningRules | keyof typeof repositoryRules, RuleCase>>> = {
  POLICY_ENTRY_REDUNDANT: {
    fires: [
      at(broker("actions: [publish], topics: ['a/+', 'a/{device}']"), "'a/{dev"),
      at(broker("actions: [publish], topics: [b, 'a/x', 'a/#']"), "'a/x'"),
      at(broker("actions: [publish], topics: ['#', '+/#']"), "'+/#'"),
      at(broker('actions: [publish, publish], topics: [a]'), 'publish]'),
      at(tls('a.b.example, "*.b.example"'), 'a.b.example'),
    ],
    silent: [broker("actions: [publish], topics: ['a/+', 'a/+/b', '+', '$SYS/#']"), tls('b.example, "*.b.example"')],
  },
  POLICY_OPERATION_DUPLICATE: {
    fires: [
      [
        {
          'interfaces/more.yaml': `interfaces:
  - name: broker
    device: plc-1
    protocol: mqtt
    port: 1883
    operations:
      one: {actions: [subscribe], topics: ['#']}
      two: {actions: [subscribe, receive], topics: ['+/#']}
`,
        },
        'interfaces/more.yaml:8:12',
      ],
    ],
    silent: [],
  },
  POLICY_BINDING_UNREACHABLE: {
    fires: [[tls('a.example', 'svid'), 'grants/more.yaml:6:14']],
    silent: [
      granted('actions: [connect]'),
      tls('a.example'),
      {
        'grants/more.yaml': `grants:
  - {id: more, subjects: [gateway-1], interface: plc-modbus, operations: [read-process], binding: svid}
`,
      },
    ],
  },
  POLICY_WRITE_OVER_ADDRESS: {
    fires: [[granted('actions: [publish], topics: [a]', 'gateway-1', 'ip'), grant]],
    silent: [
      granted('actions: [publish], topics: [a]'),
      granted('actions: [connect, subscribe], topics: [a]', 'gateway-1', 'ip'),
      tls('a.example'),
    ],
  },
  POLICY_FORMAT: {
    fires: [
      at(broker('actions: [connect], topics: [a]'), '[a]'),
      at(broker('actions: [publish]'), '{actions'),
      at(broker("actions: [publish], topics: [a], json: {'t': 0-1}"), "'t'"),
      at(broker("actions: [publish], topics: [a], json: {'/t': 2-1}"), '2-1'),
      at(broker('actions: [publish], topics: [a], maxQos: 3'), '3}'),
      at(broker('actions: [subscribe], topics: [a], shares: [a/b]'), 'a/b]'),
      at(tls('Camera.example'), 'Camera'),
      at(tls('"*"'), '"*"'),
      at(tls(''), '[]'),
    ],
    silent: [],
  },
};

testRules(others as Required<typeof others>);
