// A question to a policy: given and when, as tests write them, and the access request of an enforcement point that they
// stand for. Whatever asks (tests, invariants, explain, who-can) asks through here, so that every answer can be written
// down as a test.
import type { AccessRequest, Asked, Decision, Operation } from '../../engine/index.ts';
import { obligationName } from '../../engine/obligations.ts';
import { attributeNames } from '../../engine/index.ts';
import { formatYaml } from '../../../runtime/yaml.ts';
import { mqttDefaults, type MqttWhen } from '../format/mqtt.ts';
import { givenDefaults } from '../format/tests.ts';
import type { Given, When } from '../format/tests.ts';
import { requestAttributes } from '../given-attributes.ts';
import { modbusFunctions } from '../modbus-functions.ts';

/** Characters of a payload in a line for people. */
const MAX_SHOWN_PAYLOAD = 80;

export interface Question {
  readonly given: Given & { readonly time: number };
  /** With the device that serves the interface. */
  readonly when: When & { readonly device: string };
}

export function requestOf({ given, when }: Question): Asked {
  const { time } = given;
  const further = requestAttributes(given.attributes, time);
  const { attestation, risk } = given;
  const request: AccessRequest = {
    subject: {
      id: given.subject,
      binding: given.binding ?? defaultBinding(when),
      state: given.state,
      attributes: {
        ...(attestation === 'missing'
          ? {}
          : { [attributeNames.attestation]: { value: attestation, asOf: time - given.attestedAgo } }),
        ...(risk === 'missing' ? {} : { [attributeNames.risk]: { value: risk, asOf: time } }),
        [attributeNames.reduced]: { value: given.reduced, asOf: time },
        ...further.subject,
      },
    },
    operation: operationOf(when),
    resource: {
      interface: when.interface,
      attributes: { ...further.resource, [attributeNames.device]: { value: when.device } },
    },
    context: { time, source: 'test', connection: '', attributes: further.context },
  };
  return { request, freshness: given.freshness };
}

/** A certificate where the protocol carries one. */
export function defaultBinding(when: Pick<When, 'http'>): NonNullable<Given['binding']> {
  return when.http === undefined ? 'ip' : 'svid';
}

export function operationOf({ http, modbus, mqtt, tls }: When): Operation {
  if (http !== undefined) return { protocol: 'http', ...http };
  if (mqtt !== undefined) return { protocol: 'mqtt', ...mqtt };
  if (tls !== undefined) return { protocol: 'tls', ...tls };
  if (modbus === undefined) return { protocol: 'port' };
  const { function: functionCode, ...rest } = modbus;
  return { protocol: 'modbus', functionCode, ...rest };
}

/** The other way: an operation on the wire as a test writes it. */
export function whenOf(name: string, device: string, operation: Operation): Question['when'] {
  switch (operation.protocol) {
    case 'http': {
      const { protocol: _, ...http } = operation;
      return { interface: name, device, http };
    }
    case 'modbus': {
      const { protocol: _, functionCode, ...rest } = operation;
      return { interface: name, device, modbus: { function: functionCode, ...rest } };
    }
    case 'mqtt': {
      const { protocol: _, ...mqtt } = operation;
      return { interface: name, device, mqtt };
    }
    case 'tls':
      return { interface: name, device, tls: { serverName: operation.serverName, alpn: operation.alpn } };
    case 'port':
      return { interface: name, device, port: true };
    case 'named':
      throw new Error(`a test asks for a request, not for operation ${operation.name}`);
  }
}

/** One line for people: `gateway-1 (stale), GET /status on hmi-web of hmi-1`. */
export function describeQuestion({ given, when }: Question): string {
  const binding = given.binding ?? defaultBinding(when);
  const circumstances = [
    given.state,
    binding,
    ...(given.freshness === givenDefaults.freshness ? [] : [`${given.freshness} policy`]),
    ...(given.attestation === givenDefaults.attestation ? [] : [`attestation ${given.attestation}`]),
    ...(given.attestedAgo === givenDefaults.attestedAgo ? [] : [`attested ${durationText(given.attestedAgo)} ago`]),
    ...(given.risk === givenDefaults.risk ? [] : [`risk ${given.risk}`]),
    ...(given.reduced ? ['reduced'] : []),
    ...Object.entries(given.attributes).map(([name, value]) => `${name} ${JSON.stringify(value)}`),
  ];
  const at = new Date(given.time).toISOString().replace('.000Z', 'Z');
  return `${given.subject} (${circumstances.join(', ')}) at ${at}: ${describeOperation(when)} on ${when.interface} of ${when.device}`;
}

export function describeOperation({ http, modbus, mqtt, tls }: Partial<When>): string {
  if (http !== undefined) return describeHttp(http);
  if (mqtt !== undefined) return describeMqtt(mqtt);
  if (tls !== undefined) return `TLS to ${tls.serverName || 'no server name'}`;
  if (modbus === undefined) return 'connect';
  const { unit, address, quantity, values, change } = modbus;
  const last = address + Math.max(quantity, 1) - 1;
  const registers = last === address ? `${address}` : `${address}-${last}`;
  const written = values.length === 0 ? '' : ` = ${values.slice(0, 4).join(', ')}${values.length > 4 ? ', …' : ''}`;
  const name = codeNames.get(modbus.function) ?? `function ${modbus.function}`;
  return `${name} unit ${unit} address ${registers}${written}${change === undefined ? '' : `, a change of ${change}`}`;
}

function describeMqtt({ action, clientId, topic, share, qos, retain, will, payloadBytes, json }: MqttWhen): string {
  const marks = [
    ...(qos === 0 ? [] : [`quality ${qos}`]),
    ...(retain ? ['retained'] : []),
    ...(will ? [action === 'connect' ? 'with a will' : 'as will'] : []),
    ...(payloadBytes === 0 ? [] : [`${payloadBytes} bytes`]),
    ...(json === undefined ? [] : [JSON.stringify(json).slice(0, MAX_SHOWN_PAYLOAD)]),
  ];
  const what = action === 'connect' ? `connect as ${clientId}` : `${action} ${topic} as ${clientId}`;
  return `${what}${share === undefined ? '' : `, shared as ${share}`}${marks.map((mark) => `, ${mark}`).join('')}`;
}

function describeHttp({ method, path, host = '', headers = {}, bodyBytes }: NonNullable<When['http']>): string {
  const lines = Object.entries(headers).flatMap(([name, values]) => values.map((value) => `, ${name}: ${value}`));
  const body = bodyBytes === undefined ? '' : `, a body of ${bodyBytes} bytes`;
  return `${method} ${host}${path}${lines.join('')}${body}`;
}

function functionName(code: number): string | number {
  return codeNames.get(code) ?? code;
}

const codeNames = new Map(Object.entries(modbusFunctions).map(([name, code]) => [code, name]));

/** What a test expects. */
export type Answer = Pick<Decision, 'allow' | 'obligations'>;

/** The question with its answer as an entry of tests/*.yaml, ready to paste. */
export function testEntry(name: string, question: Question, answer: Answer): object {
  const { given, when } = question;
  const { modbus, mqtt, ...rest } = when;
  const due = (answer.obligations ?? []).map((entry) => obligationName(entry));
  const { subject, time, binding = defaultBinding(when), ...known } = given;
  const unusual = Object.entries(known).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify(givenDefaults[key as keyof typeof known]),
  );
  return {
    name,
    given: {
      subject,
      ...(binding === defaultBinding(when) ? {} : { binding }),
      ...Object.fromEntries(
        unusual.map(([key, value]) => [key, key === 'attestedAgo' ? durationText(known.attestedAgo) : value]),
      ),
      time: new Date(time).toISOString().replace('.000Z', 'Z'),
    },
    when: {
      ...rest,
      ...(modbus === undefined ? {} : { modbus: modbusEntry(modbus) }),
      ...(mqtt === undefined ? {} : { mqtt: mqttEntry(mqtt, subject) }),
    },
    // oxlint-disable-next-line unicorn/no-thenable -- the word of given/when/then; the object is never awaited
    then: due.length === 0 ? (answer.allow ? 'allow' : 'deny') : { allow: answer.allow, obligations: due },
  };
}

function modbusEntry({ function: code, unit, address, quantity, values, change }: NonNullable<When['modbus']>): object {
  return {
    function: functionName(code),
    ...(unit === 1 ? {} : { unit }),
    address,
    ...(quantity === 1 ? {} : { quantity }),
    ...(values.length === 0 ? {} : { values }),
    ...(change === undefined ? {} : { change }),
  };
}

function mqttEntry(asked: MqttWhen, subject: string): object {
  const { action, ...rest } = asked;
  const usual: Partial<MqttWhen> = mqttDefaults(subject, { action, json: asked.json });
  const unusual = Object.entries(rest).filter(([key, value]) =>
    key === 'topic' ? action !== 'connect' : value !== usual[key as keyof MqttWhen],
  );
  return { action, ...Object.fromEntries(unusual) };
}

/** As the format reads it: `90s`, `15m`, `24h`, `7d`. */
export function durationText(ms: number): string {
  const [unit, size] = (
    [
      ['d', 86_400_000],
      ['h', 3_600_000],
      ['m', 60_000],
    ] as const
  ).find(([, each]) => ms >= each && ms % each === 0) ?? ['s', 1_000];
  return `${Math.max(Math.round(ms / size), 1)}${unit}`;
}

export function testYaml(name: string, question: Question, answer: Answer): string {
  return formatYaml([testEntry(name, question, answer)]);
}
