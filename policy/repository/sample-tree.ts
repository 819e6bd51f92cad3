// A small valid policy repository for tests, as text that a test changes one line of.
import type { PolicyTree } from './tree.ts';

/** Sunday 22 November 2026, 12:00 UTC: the time of every test. */
export const sampleNow = Date.UTC(2026, 10, 22, 12);

export const sampleFiles: Readonly<Record<string, string>> = {
  'edgeward.yaml': 'format: 1\ntrustDomain: plant.example\n',
  'inventory/cell.yaml': `networks:
  - name: cell
    cidrs: [10.77.0.0/24]
  - name: office
    cidrs: [10.88.0.0/24]
devices:
  - id: gateway-1
    labels: {role: gateway}
    interfaces:
      - {name: eth0, network: cell, address: 10.77.0.11}
      - {name: eth1, network: office, address: 10.88.0.11}
  - id: plc-1
    labels: {role: plc}
    interfaces:
      - {name: eth0, network: cell, address: 10.77.0.12}
  - id: hmi-1
    labels: {role: hmi}
    interfaces:
      - {name: eth0, network: cell, address: 10.77.0.13}
  - id: desk-1
    labels: {role: desk}
    interfaces:
      - {name: eth0, network: office, address: 10.88.0.20}
`,
  'interfaces/cell.yaml': `interfaces:
  - name: plc-modbus
    device: plc-1
    protocol: modbus
    port: 502
    operations:
      read-process:
        functions: [3, 4]
        units: [1]
        addresses: ['0-99']
      write-setpoint:
        functions: [write-single-register]
        addresses: ['0-19']
        class: sensitive
  - name: hmi-web
    device: hmi-1
    protocol: http
    port: 8443
    casbin: hmi
    operations:
      view:
        methods: [GET]
        paths: [/, /status]
`,
  'grants/cell.yaml': `grants:
  - id: gateway-reads-plc
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: ip
  - id: gateway-views-hmi
    subjects: {labels: {role: gateway}}
    interface: hmi-web
    operations: [view]
denies:
  - id: nobody-writes
    subjects: all
    interface: plc-modbus
    operations: [write-setpoint]
`,
  'firewall/cell.yaml': `rules:
  - id: no-telnet
    tier: admin
    action: deny
    devices: all
    direction: in
    transport: tcp
    peer: 0.0.0.0/0
    ports: 23
`,
  'casbin/hmi/model.conf': `[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
`,
  'casbin/hmi/policy.csv': 'p, gateway-1, /status, GET\n',
  'tests/cell.yaml': `tests:
  - name: the gateway reads
    given: {subject: gateway-1}
    when: {interface: plc-modbus, modbus: {function: 3, address: 0}}
    then: allow
  - name: the gateway looks at the panel
    given: {subject: gateway-1}
    when: {interface: hmi-web, http: {method: GET, path: /status}}
    then: allow
`,
};

export function treeOf(files: Readonly<Record<string, string>>): PolicyTree {
  return { files: new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text, 'utf8')])) };
}

/** The sample with one text replaced in one file; the text has to be there. */
export function sampleWith(path: string, from: string, to: string): PolicyTree {
  const text = sampleFiles[path];
  if (text === undefined || !text.includes(from)) throw new Error(`the sample's ${path} does not say ${from}`);
  return treeOf({ ...sampleFiles, [path]: text.replace(from, to) });
}
