import type { meaningRules } from '../rules/meaning-rules.ts';
import { sampleFiles } from '../sample-tree.ts';
import { testRules, type Files, type RuleCase } from './testing/rule-cases.ts';

type Rule = keyof typeof meaningRules;

const more = (text: string): Files => ({ 'grants/more.yaml': text });
const grant = (rest: string): Files => more(`grants:\n  - {${rest}}\n`);
const deny = (rest: string): Files => more(`denies:\n  - {${rest}}\n`);
const firewall = (...rules: string[]): Files => ({
  'firewall/cell.yaml': `rules:\n${rules.map((rule) => `  - {${rule}}\n`).join('')}`,
});
const operations = (text: string): Files => ({
  'interfaces/more.yaml': `interfaces:\n  - name: more\n    device: plc-1\n    protocol: http\n    port: 80\n    operations:\n${text}`,
});
const normalising = (terms: string, sensitive: string): Files => ({
  'interfaces/more.yaml': `interfaces:\n  - name: more\n    device: plc-1\n    protocol: http\n    normalise: [${terms}]\n    port: 80\n    operations:\n      a: {methods: [GET], paths: [/a]${sensitive}}\n`,
});
const audited = (audit: string, safety = 'normal'): Files => ({
  'interfaces/more.yaml': `interfaces:
  - name: more
    device: plc-1
    protocol: http
    port: 80
    audit: ${audit}
    class: ${safety}
    operations: {a: {methods: [GET], paths: [/a]}}
`,
});
const modbus = (text: string): Files => ({
  'interfaces/more.yaml': `interfaces:\n  - name: more\n    device: plc-1\n    protocol: modbus\n    port: 503\n    operations:\n${text}`,
});
const sample = (path: string, from: string, to: string): Files => ({
  [path]: (sampleFiles[path] ?? '').replace(from, to),
});

const reads = 'interface: plc-modbus, operations: [read-process], binding: ip';
const onMore = (rest: string): Files =>
  more(`grants:\n  - {id: on-more, subjects: [gateway-1], interface: more, operations: [a]${rest}}\n`);

/** gateway-1 with a workload that rules may name. */
const withWorkload: Files = {
  'inventory/cell.yaml': (sampleFiles['inventory/cell.yaml'] ?? '').replace(
    'labels: {role: gateway}',
    'labels: {role: gateway}\n    workloads: [{name: w, uid: 1001}]',
  ),
};

const manyRules = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, index) =>
      `id: r${index}, tier: admin, action: deny, devices: [plc-1], direction: in, transport: tcp, peer: 10.0.0.0/8, ports: ${index + 1}`,
  );

/** For each rule what it finds and where, and the nearest that it does not. */
const cases: Readonly<Record<Rule, RuleCase>> = {
  POLICY_RULE_DUPLICATE: {
    fires: [
      [grant(`id: again, subjects: [gateway-1], ${reads}`), 'grants/more.yaml:2:10'],
      [deny('id: again, subjects: all, interface: plc-modbus, operations: [write-setpoint]'), 'grants/more.yaml:2:10'],
      [
        firewall(
          'id: a, tier: admin, action: deny, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/8, ports: 23',
          'id: b, tier: admin, action: deny, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/8, ports: 23-23',
        ),
        'firewall/cell.yaml:3:10',
      ],
    ],
    silent: [grant(`id: other, subjects: [hmi-1], ${reads}`)],
  },
  POLICY_RULE_SHADOWED: {
    fires: [
      // A narrower subject, operation, condition, end.
      [
        more(
          `grants:\n  - {id: all, subjects: [gateway-1, hmi-1], ${reads}}\n  - {id: b, subjects: [hmi-1], ${reads}}\n`,
        ),
        'grants/more.yaml:3:10',
      ],
      [grant(`id: strict, subjects: [gateway-1], ${reads}, conditions: {maxRisk: 10}`), 'grants/more.yaml:2:10'],
      [grant(`id: short, subjects: [gateway-1], ${reads}, until: 2027-01-01`), 'grants/more.yaml:2:10'],

      [
        more(
          `grants:\n  - {id: day, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 06:00-18:00, attestation: [tpm, idevid]}}\n` +
            `  - {id: noon, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 11:00-13:00, weekdays: [mon], attestation: [tpm]}}\n`,
        ),
        'grants/more.yaml:3:10',
      ],
      // Covered by two together.
      [
        more(
          `grants:\n  - {id: two, subjects: [gateway-1, hmi-1], ${reads}, conditions: {maxRisk: 5}}\n  - {id: one, subjects: [hmi-1], ${reads}}\n`,
        ),
        'grants/more.yaml:2:10',
      ],
      // An operation inside another.
      [
        {
          ...operations('      a: {methods: [GET], paths: [/a]}\n      all: {methods: [GET, PUT], paths: [/**]}\n'),
          ...more(
            'grants:\n  - {id: a, subjects: [gateway-1], interface: more, operations: [a]}\n  - {id: b, subjects: [gateway-1], interface: more, operations: [all]}\n',
          ),
        },
        'grants/more.yaml:2:10',
      ],
      [
        deny('id: one, subjects: [hmi-1], interface: plc-modbus, operations: [write-setpoint]'),
        'grants/more.yaml:2:10',
      ],
      [
        firewall(
          'id: a, tier: admin, action: deny, devices: all, direction: in, transport: any, peer: 10.0.0.0/8',
          'id: b, tier: admin, action: deny, devices: [plc-1], direction: in, transport: tcp, peer: 10.77.0.0/24, ports: 23',
        ),
        'firewall/cell.yaml:3:10',
      ],
    ],
    silent: [
      grant(`id: wider, subjects: [hmi-1], ${reads}, conditions: {maxRisk: 10}`),
      more(
        `grants:\n  - {id: day, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 06:00-18:00}}\n` +
          `  - {id: night, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 17:00-23:00}}\n`,
      ),
      more(
        `grants:\n  - {id: x, subjects: [hmi-1], ${reads}, conditions: {maxRisk: 50}}\n` +
          `  - {id: y, subjects: [hmi-1], ${reads}, conditions: {attestation: [tpm]}}\n`,
      ),
      // Inside, but sensitive or for an island: another state may let only one of them through.
      {
        ...operations(
          '      a: {methods: [GET], paths: [/a], island: true}\n      all: {methods: [GET], paths: [/**]}\n',
        ),
        ...more(
          'grants:\n  - {id: a, subjects: [gateway-1], interface: more, operations: [a]}\n  - {id: b, subjects: [gateway-1], interface: more, operations: [all]}\n',
        ),
      },
      {
        ...operations(
          '      a: {methods: [GET], paths: [/a]}\n      all: {methods: [GET], paths: [/a, /b]}\n      s: {methods: [GET], paths: [/b, /a], class: sensitive}\n',
        ),
        ...more(
          'grants:\n  - {id: a, subjects: [gateway-1], interface: more, operations: [a]}\n  - {id: b, subjects: [gateway-1], interface: more, operations: [all]}\n',
        ),
      },
      // The first that opens says the obligations: without a, b would.
      more(
        `grants:\n  - {id: a, subjects: [hmi-1], ${reads}, conditions: {maxRisk: 5}, obligations: [{id: log}]}\n` +
          `  - {id: b, subjects: [hmi-1], ${reads}, conditions: {maxRisk: 9}, obligations: [{id: notification}]}\n` +
          `  - {id: c, subjects: [hmi-1], ${reads}, obligations: [{id: log}]}\n`,
      ),
      // Two budgets are not one.
      more(
        `grants:\n  - {id: a, subjects: [hmi-1], ${reads}, uses: 5}\n  - {id: b, subjects: [hmi-1], ${reads}, uses: 5}\n`,
      ),
      // Another attribute.
      {
        'schema/more.json': '{"subject": {"vendor": {"type": "string"}, "maker": {"type": "string"}}}',
        ...more(
          `grants:\n  - {id: x, subjects: [hmi-1], ${reads}, conditions: {attributes: {subject.vendor: {equals: a}}}}\n` +
            `  - {id: y, subjects: [hmi-1], ${reads}, conditions: {attributes: {subject.maker: {equals: a}}}}\n`,
        ),
      },
      deny('id: risky, subjects: all, interface: plc-modbus, operations: all, conditions: {minRisk: 50}'),
      firewall(
        'id: a, tier: admin, action: deny, devices: all, direction: in, transport: tcp, peer: 10.0.0.0/8, ports: 23',
        'id: b, tier: admin, action: deny, devices: all, direction: out, transport: tcp, peer: 10.0.0.0/8, ports: 23',
        'id: c, tier: admin, action: deny, devices: all, direction: in, transport: udp, peer: 10.0.0.0/8, ports: 23',
      ),
    ],
  },
  POLICY_RULE_CONTRADICTORY: {
    fires: [
      [
        deny('id: no, subjects: [gateway-1], interface: plc-modbus, operations: [read-process]'),
        'grants/cell.yaml:2:9',
      ],
    ],
    silent: [
      deny(
        'id: no, subjects: [gateway-1], interface: plc-modbus, operations: [read-process], conditions: {minRisk: 50}',
      ),
    ],
  },
  POLICY_GRANT_UNREACHABLE: {
    fires: [
      [deny('id: no, subjects: all, interface: plc-modbus, operations: all'), 'grants/cell.yaml:2:9'],
      [
        {
          ...operations('      a: {methods: [GET], paths: [/a]}\n      all: {methods: [GET], paths: [/**]}\n'),
          ...more(
            'grants:\n  - {id: a, subjects: [gateway-1], interface: more, operations: [a]}\ndenies:\n  - {id: d, subjects: all, interface: more, operations: [all]}\n',
          ),
        },
        'grants/more.yaml:2:10',
      ],
    ],
    silent: [deny('id: no, subjects: [hmi-1], interface: plc-modbus, operations: all')],
  },
  POLICY_GRANT_PART_DENIED: {
    fires: [[sample('grants/cell.yaml', '[read-process]', '[read-process, write-setpoint]'), 'grants/cell.yaml:5:32']],
    silent: [deny('id: no, subjects: [hmi-1], interface: plc-modbus, operations: [read-process]')],
  },
  POLICY_GRANT_FIREWALLED: {
    fires: [
      [
        firewall(
          'id: no, tier: admin, action: deny, devices: [plc-1], direction: in, transport: tcp, peer: 10.77.0.0/24, ports: 502',
        ),
        'grants/cell.yaml:2:9',
      ],
      [
        firewall(
          'id: no, tier: admin, action: deny, devices: [gateway-1], direction: out, transport: any, peer: 10.77.0.12/32',
        ),
        'grants/cell.yaml:2:9',
      ],
    ],
    silent: [
      firewall(
        'id: no, tier: admin, action: deny, devices: [plc-1], direction: in, transport: udp, peer: 10.77.0.0/24, ports: 502',
      ),
      firewall(
        'id: no, tier: admin, action: deny, devices: [plc-1], direction: in, transport: tcp, peer: 10.77.0.12/32, ports: 502',
      ),
    ],
  },
  POLICY_FIREWALL_UNREACHABLE: {
    fires: [
      [
        firewall(
          'id: a, tier: baseline, action: allow, devices: all, direction: out, transport: udp, peer: 10.77.0.1/32, ports: 123',
          'id: b, tier: admin, action: deny, devices: all, direction: out, transport: any, peer: 10.77.0.0/24',
        ),
        'firewall/cell.yaml:2:10',
      ],
      // Covered by two blocks together, in another tier, by an allow.
      [
        firewall(
          'id: a, tier: baseline, action: deny, devices: [plc-1], direction: in, transport: tcp, peer: 10.77.0.0/24, ports: 22',
          'id: b, tier: admin, action: allow, devices: all, direction: in, transport: tcp, peers: [10.77.0.0/25, 10.77.0.128/25]',
        ),
        'firewall/cell.yaml:2:10',
      ],
      [
        firewall(
          'id: a, tier: admin, action: pass, priority: 5, devices: all, direction: out, transport: any, peer: 10.77.0.0/24',
          'id: b, tier: admin, action: deny, priority: 6, devices: all, direction: out, transport: any, peer: 10.77.0.0/25',
        ),
        'firewall/cell.yaml:3:10',
      ],
    ],
    silent: [
      // The allow is judged first; so is a pass, but only the grants and baseline come after it.
      firewall(
        'id: a, tier: admin, action: allow, priority: 1, devices: all, direction: out, transport: udp, peer: 10.77.0.1/32',
        'id: b, tier: admin, action: deny, priority: 2, devices: all, direction: out, transport: any, peer: 10.77.0.0/24',
      ),
      firewall(
        'id: a, tier: baseline, action: allow, devices: all, direction: out, transport: udp, peer: 10.77.0.1/32',
        'id: b, tier: admin, action: pass, devices: all, direction: out, transport: any, peer: 10.77.0.0/24',
      ),
      // What comes first does not always decide.
      ...[
        'observe: true',
        'workload: w',
        'conditions: {weekdays: [mon]}',
        'notBefore: 2027-01-01',
        'to: [10.0.0.0/8]',
      ].map((only) => ({
        ...firewall(
          'id: a, tier: baseline, action: allow, devices: [gateway-1], direction: DIR, transport: udp, peer: 10.77.0.1/32'.replace(
            'DIR',
            only.startsWith('to') ? 'through' : 'out',
          ),
          `id: b, tier: admin, action: deny, devices: [gateway-1], direction: ${only.startsWith('to') ? 'through' : 'out'}, transport: any, peer: 10.77.0.0/24, ${only}`,
        ),
        ...withWorkload,
      })),
      firewall(
        'id: a, tier: baseline, action: deny, devices: all, direction: in, transport: tcp, peer: 10.77.0.1/32',
        'id: b, tier: admin, action: allow, devices: all, direction: in, transport: tcp, peer: 10.77.0.0/24, connections: 5',
      ),
      firewall(
        'id: a, tier: baseline, action: allow, devices: all, direction: in, transport: icmp, peer: 10.77.0.1/32',
        'id: b, tier: admin, action: deny, devices: all, direction: in, transport: any, ports: 1-65535, peer: 10.77.0.0/24',
      ),
      firewall(
        'id: a, tier: baseline, action: allow, devices: all, direction: out, transport: udp, peer: 10.77.0.0/24, ports: 123',
        'id: b, tier: admin, action: deny, devices: all, direction: out, transport: any, peer: 10.77.0.1/32',
      ),
    ],
  },
  POLICY_NEVER_IN_FORCE: {
    fires: [
      [
        grant(
          `id: sat, subjects: [hmi-1], ${reads}, conditions: {weekdays: [sat]}, notBefore: 2027-03-01, until: 2027-03-05`,
        ),
        'grants/more.yaml:2:10',
      ],
      [
        deny(
          'id: gone, subjects: [hmi-1], interface: plc-modbus, operations: all, conditions: {timeWindow: 06:00-07:00}, until: 2026-11-22T18:00Z',
        ),
        'grants/more.yaml:2:10',
      ],
    ],
    silent: [
      grant(
        `id: sat, subjects: [hmi-1], ${reads}, conditions: {weekdays: [sat]}, notBefore: 2027-03-01, until: 2027-03-06`,
      ),
    ],
  },
  POLICY_CONDITION_MOOT: {
    fires: [
      [grant(`id: day, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 00:00-24:00}`), 'grants/more.yaml:2:123'],
      [
        grant(`id: days, subjects: [hmi-1], ${reads}, conditions: {weekdays: [mon, tue, wed, thu, fri, sat, sun]}`),
        'grants/more.yaml:2:122',
      ],
    ],
    silent: [grant(`id: day, subjects: [hmi-1], ${reads}, conditions: {timeWindow: 00:00-23:59, weekdays: [mon]}`)],
  },
  POLICY_ENTRY_REDUNDANT: {
    fires: [
      [
        { ...operations('      a: {methods: [GET], paths: [/a/b, /a/*]}\n'), ...onMore('') },
        'interfaces/more.yaml:7:35',
      ],
      [
        { ...operations('      a: {methods: [GET, PUT, GET], paths: [/a]}\n'), ...onMore('') },
        'interfaces/more.yaml:7:31',
      ],
      [
        { ...modbus("      a: {functions: [3], addresses: ['0-99', '10-19']}\n"), ...onMore(', binding: ip') },
        'interfaces/more.yaml:7:47',
      ],
      [
        { ...modbus("      a: {functions: [3, 4, 3], addresses: ['0-99']}\n"), ...onMore(', binding: ip') },
        'interfaces/more.yaml:7:29',
      ],
      [
        grant(
          `id: two, subjects: [hmi-1], interface: plc-modbus, operations: [read-process, read-process], binding: ip`,
        ),
        'grants/more.yaml:2:84',
      ],
    ],
    silent: [
      { ...operations('      a: {methods: [GET], paths: [/a, /a/*, /b/**]}\n'), ...onMore('') },
      { ...modbus("      a: {functions: [3], addresses: ['0-99', '50-150']}\n"), ...onMore(', binding: ip') },
    ],
  },
  POLICY_OPERATION_DUPLICATE: {
    fires: [
      [
        {
          ...operations('      a: {methods: [GET], paths: [/a, /b]}\n      b: {methods: [GET], paths: [/b, /a]}\n'),
          ...onMore(''),
        },
        'interfaces/more.yaml:8:10',
      ],
    ],
    silent: [
      {
        ...operations('      a: {methods: [GET], paths: [/a]}\n      b: {methods: [PUT], paths: [/a]}\n'),
        ...onMore(''),
      },
    ],
  },
  POLICY_PATH_WIDE: {
    fires: [[{ ...operations('      a: {methods: [GET], paths: [/**]}\n'), ...onMore('') }, 'grants/more.yaml:2:72']],
    silent: [
      { ...operations('      a: {methods: [GET], paths: [/a/**]}\n'), ...onMore('') },
      // Wide, but only denied.
      {
        ...operations('      a: {methods: [GET], paths: [/**]}\n'),
        ...deny('id: d, subjects: all, interface: more, operations: [a]'),
      },
    ],
  },
  POLICY_NORMALISE_WIDE: {
    fires: [
      [
        { ...normalising('dot-segments, encoded-slashes', ', class: sensitive'), ...onMore('') },
        'interfaces/more.yaml:5:16',
      ],
      [{ ...normalising('case', ', class: sensitive'), ...onMore('') }, 'interfaces/more.yaml:5:16'],
    ],
    silent: [
      { ...normalising('path-parameters, encoded-slashes, case', ''), ...onMore('') },
      {
        ...normalising('percent-encoding, backslashes, dot-segments, merge-slashes', ', class: sensitive'),
        ...onMore(''),
      },
    ],
  },
  POLICY_REGISTERS_WIDE: {
    fires: [
      [
        { ...modbus("      a: {functions: [6], addresses: ['0-65535']}\n"), ...onMore(', binding: ip') },
        'grants/more.yaml:2:72',
      ],
      [
        { ...modbus("      a: {functions: [6], addresses: ['30000-65535', '0-29999']}\n"), ...onMore(', binding: ip') },
        'grants/more.yaml:2:72',
      ],
    ],
    silent: [
      { ...modbus("      a: {functions: [3], addresses: ['0-65535']}\n"), ...onMore(', binding: ip') },
      { ...modbus("      a: {functions: [6], addresses: ['0-65535'], values: 0-100}\n"), ...onMore(', binding: ip') },
      { ...modbus("      a: {functions: [6], addresses: ['0-29999', '30001-65535']}\n"), ...onMore(', binding: ip') },
    ],
  },
  POLICY_SUBJECTS_WIDE: {
    fires: [
      [
        grant('id: all, subjects: [gateway-1, hmi-1, plc-1, desk-1], interface: hmi-web, operations: [view]'),
        'grants/more.yaml:2:25',
      ],
    ],
    silent: [grant('id: most, subjects: [gateway-1, plc-1, desk-1], interface: hmi-web, operations: [view]')],
  },
  POLICY_AUDIT_CONTRADICTORY: {
    fires: [[audited('{durable: true, allows: counted}'), 'interfaces/more.yaml:6:36']],
    silent: [
      audited('{durable: true, allows: all}'),
      audited('{allows: counted}'),
      audited('{durable: true, classes: {request: all}}'),
    ],
  },
  POLICY_AUDIT_SAMPLED: {
    fires: [
      [audited('{allows: {sample: 100}}', 'sensitive'), 'interfaces/more.yaml:6:21'],
      [audited('{allows: counted}', 'safety'), 'interfaces/more.yaml:6:21'],
    ],
    silent: [audited('{allows: {sample: 100}}'), audited('{durable: true}', 'sensitive')],
  },
  POLICY_SENSITIVE_WITHOUT_END: {
    fires: [
      [
        { ...operations('      a: {methods: [GET], paths: [/a], class: sensitive}\n'), ...onMore('') },
        'grants/more.yaml:2:72',
      ],
    ],
    silent: [
      { ...operations('      a: {methods: [GET], paths: [/a], class: sensitive}\n'), ...onMore(', until: 2027-01-01') },
    ],
  },
  POLICY_INTERFACE_UNUSED: {
    fires: [[operations('      a: {methods: [GET], paths: [/a]}\n'), 'interfaces/more.yaml:2:11']],
    silent: [
      { ...operations('      a: {methods: [GET], paths: [/a]}\n'), ...onMore('') },
      {
        ...operations('      a: {methods: [GET], paths: [/a]}\n'),
        'tests/more.yaml':
          'tests:\n  - {name: closed, given: {subject: hmi-1}, when: {interface: more, http: {method: GET, path: /a}}, then: deny}\n',
      },
    ],
  },
  POLICY_OPERATION_UNUSED: {
    fires: [
      [
        {
          ...operations('      a: {methods: [GET], paths: [/a]}\n      b: {methods: [GET], paths: [/b]}\n'),
          ...onMore(''),
        },
        'interfaces/more.yaml:8:10',
      ],
    ],
    silent: [
      {
        ...operations(
          '      a: {methods: [GET], paths: [/a]}\n      b: {methods: [GET], paths: [/b], class: sensitive}\n',
        ),
        ...onMore(''),
      },
    ],
  },
  POLICY_NETWORK_UNUSED: {
    fires: [
      [{ 'inventory/more.yaml': 'networks:\n  - {name: lab, cidrs: [10.99.0.0/24]}\n' }, 'inventory/more.yaml:2:12'],
    ],
    silent: [
      {
        'inventory/more.yaml':
          'networks:\n  - {name: lab, cidrs: [10.99.0.0/24]}\ndevices:\n  - {id: lab-1, interfaces: [{name: e, network: lab, address: 10.99.0.1}]}\n',
      },
    ],
  },
  POLICY_ATTRIBUTE_UNUSED: {
    fires: [[{ 'schema/more.json': '{"subject": {"vendor": {"type": "string"}}}' }, 'schema/more.json:1:24']],
    silent: [
      {
        'schema/more.json': '{"subject": {"vendor": {"type": "string"}, "risk": {"type": "number"}}}',
        ...grant(`id: acme, subjects: [hmi-1], ${reads}, conditions: {attributes: {subject.vendor: {equals: acme}}}`),
      },
    ],
  },
  POLICY_ANALYSIS_CUT: {
    fires: [[firewall(...manyRules(2_400)), 'firewall/cell.yaml:1:1']],
    silent: [firewall(...manyRules(100))],
  },
};

testRules(cases);
