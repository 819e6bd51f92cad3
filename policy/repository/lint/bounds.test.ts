import type { boundRules } from '../rules/bound-rules.ts';
import { testRules, type Files, type RuleCase } from './testing/rule-cases.ts';

const more = (protocol: string, rest: string, operations: string): Files => ({
  'interfaces/more.yaml': `interfaces:
  - name: more
    device: plc-1
    protocol: ${protocol}
    port: 503
    ${rest}
    operations: {a: {${operations}}}
`,
});
const modbus = (operation: string): Files => more('modbus', 'class: normal', `addresses: ['0-9'], ${operation}`);

const http = (operation: string): Files => more('http', 'class: normal', `methods: [GET], paths: [/], ${operation}`);
const reads = `addresses: ['0-9'], functions: [3]`;
const death = (protocol: string, rest: string, operation: string): Files =>
  more(protocol, `${rest}\n    onEnforcerDeath: open`, operation);

const cases: Readonly<Record<keyof typeof boundRules, RuleCase>> = {
  POLICY_CHANGE_BOUND: {
    fires: [
      [modbus('functions: [3], units: [1], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:90'],
      [modbus('functions: [6], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:78'],
      [modbus('functions: [6], units: [1, 2], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:93'],
      [modbus('functions: [6], units: [0], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:90'],
      [modbus('functions: [5], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:78'],
      [modbus('functions: [6, 15], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:82'],
    ],
    silent: [
      modbus('functions: [6], units: [1], maxChangePerMinute: 5'),
      modbus('functions: [3, 16], units: [7], maxChangePerMinute: 5, maxQuantity: 3'),
      modbus('functions: [3], maxQuantity: 2000'),
    ],
  },
  POLICY_HEADER_BOUND: {
    fires: [
      [http('headers: {host: [a]}'), 'interfaces/more.yaml:7:66'],
      [http('headers: {x-line: [a], x-api-key: [b]}'), 'interfaces/more.yaml:7:84'],
      [http('headers: {x-edgeward-subject: [a]}'), 'interfaces/more.yaml:7:80'],
    ],
    silent: [http('headers: {x-line: [a, b], content-type: [application/json]}, hosts: [A.example], maxBodyBytes: 0')],
  },
  POLICY_ENFORCER_DEATH_IGNORED: {
    fires: [
      [death('modbus', 'audit: {durable: true}', reads), 'interfaces/more.yaml:7:22'],
      [death('modbus', 'onDeny: close', reads), 'interfaces/more.yaml:7:22'],
      [death('port', 'transport: udp', ''), 'interfaces/more.yaml:7:22'],
    ],
    silent: [
      death('modbus', 'audit: {durable: false}', reads),
      death('modbus', 'onDeny: answer', reads),
      more('modbus', 'onDeny: close', reads),
    ],
  },
};

testRules(cases);
