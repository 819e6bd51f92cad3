// What the cell's devices may do with gateway-1, as files of a policy repository.
import { inDays, type PolicyFiles } from './cell.ts';

/** Head of an interface of gateway-1; its operations follow. */
const serves = (name: string, protocol: string, port: number): string =>
  `  - name: ${name}\n    device: gateway-1\n    protocol: ${protocol}\n    port: ${port}\n    operations:\n`;

const clients = '[panel-1, robot-1, press-1, sensor-1]';

const interfaces = {
  broker: `${serves('broker', 'mqtt', 1883)}      connect: {actions: [connect], clientIds: ['{device}-*']}
      report: {actions: [publish], topics: ['cell/{device}/#']}
      follow: {actions: [subscribe], topics: ['cell/#']}
      hear-temperature: {actions: [receive], topics: ['cell/+/temperature']}
      hear-pressure: {actions: [receive], topics: ['cell/+/pressure']}
`,
  registers: `${serves('registers', 'modbus', 502)}      read: {functions: [read-holding-registers], units: [1], addresses: ['0-9']}
      set-point: {functions: [write-single-register], units: [1], addresses: ['5'], values: '0-100'}
`,
  pages: `${serves('pages', 'http', 8080)}      view: {methods: [GET], paths: [/status]}
`,
  camera: `${serves('camera', 'tls', 443)}      watch: {names: [camera.plant.example]}
`,
} as const;

const interfaceText = (...names: (keyof typeof interfaces)[]): string => names.map((name) => interfaces[name]).join('');

const grant = (id: string, name: string, operations: string): string =>
  `  - {id: ${id}, subjects: ${clients}, interface: ${name}, operations: ${operations}, binding: port+mac+ip}\n`;

/** Writing over an address has to be excused. */
export const writeWaiver = (id: string): string =>
  `  - {id: ${id}, rule: POLICY_WRITE_OVER_ADDRESS, grant: ${id}, owner: it@plant.example, reason: a test, until: ${inDays(30)}}\n`;

/** Grants of all clients, less what nobody is to hear of. */
export const machinesPolicy = (unheard: 'temperature' | 'pressure'): PolicyFiles => ({
  'interfaces/gateway.yaml': `interfaces:\n${interfaceText('broker', 'registers', 'pages', 'camera')}`,
  'grants/cell.yaml': `grants:
${grant('messages', 'broker', '[connect, report, follow]')}${grant('process', 'registers', '[read, set-point]')}${grant('pages', 'pages', '[view]')}${grant('pictures', 'camera', '[watch]')}
denies:
  - {id: unheard, subjects: all, interface: broker, operations: [hear-${unheard}]}
`,
  'waivers/cell.yaml': `waivers:\n${writeWaiver('messages')}${writeWaiver('process')}`,
});

/** Nobody may do anything; all but the pages only look on. */
export const observingPolicy = (): PolicyFiles => {
  const observed = (text: string): string =>
    text.replaceAll(/^ {4}operations:$/gm, `    observe: {until: ${inDays(30)}}\n    operations:`);
  const others = interfaceText('broker', 'registers', 'camera');
  return {
    'interfaces/observed.yaml': `interfaces:\n${observed(others)}`,
    'interfaces/pages.yaml': `interfaces:\n${interfaceText('pages')}`,
  };
};
