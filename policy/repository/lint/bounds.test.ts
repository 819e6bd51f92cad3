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

const reads = `addresses: ['0-9'], functions: [3]`;
const death = (protocol: string, rest: string, operation: string): Files =>
  more(protocol, `${rest}\n    onEnforcerDeath: open`, operation);

const cases: Readonly<Record<keyof typeof boundRules, RuleCase>> = {
  POLICY_CHANGE_BOUND: {
    fires: [
      [modbus('functions: [3], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:78'],
      [modbus('functions: [5], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:78'],
      [modbus('functions: [6, 15], maxChangePerMinute: 5'), 'interfaces/more.yaml:7:82'],
    ],
    silent: [
      modbus('functions: [6], maxChangePerMinute: 5'),
      modbus('functions: [3, 16], maxChangePerMinute: 5, maxQuantity: 3'),
      modbus('functions: [3], maxQuantity: 2000'),
    ],
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
