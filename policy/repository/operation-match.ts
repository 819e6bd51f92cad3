// Which named operations a request falls under, written independently of the engine so that the self-test vectors
// check the engine and not themselves.
import { impliedActions } from '../bundle/mqtt.ts';
import type { SelfTestVector, SliceOperation } from '../bundle/slice.ts';
import { matchesMqtt, sampleMqtt } from './mqtt-match.ts';

export type SampleRequest = SelfTestVector['operation'];
type HttpSample = Extract<SampleRequest, { protocol: 'http' }>;
type HttpOperation = Extract<SliceOperation, { protocol: 'http' }>;
type ModbusSample = Extract<SampleRequest, { protocol: 'modbus' }>;

/** Modbus functions whose request is one range of registers or coils, read or written. */
const plainCodes: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 15, 16]);
const writingCodes: ReadonlySet<number> = new Set([5, 6, 15, 16]);
const coilCodes: ReadonlySet<number> = new Set([5, 15]);

/** A request of the subject that falls under the operation, or undefined where its shape needs more than one range. */
export function sampleOf(operation: SliceOperation, subject: string): SampleRequest | undefined {
  switch (operation.protocol) {
    case 'http':
      return {
        protocol: 'http',
        method: operation.methods[0] ?? '',
        path: samplePath(operation.paths[0] ?? '/'),
        ...boundSample(operation),
      };
    case 'modbus': {
      const functionCode = operation.functionCodes.find((code) => plainCodes.has(code));
      if (functionCode === undefined) return undefined;
      const address = operation.addresses[0]?.[0] ?? 0;
      const sample = modbusSample(functionCode, operation.units[0] ?? 1, address, operation.values?.[0] ?? 0);
      const isBounded = operation.maxChangePerMinute !== undefined && writingCodes.has(functionCode);
      return isBounded ? { ...sample, change: 0 } : sample;
    }
    case 'mqtt':
      return sampleMqtt(operation, subject);
    case 'tls':
      return { protocol: 'tls', serverName: (operation.names[0] ?? '').replace('*', 'self-test'), alpn: [] };
    case 'port':
      return { protocol: 'port' };
  }
}

export function modbusSample(functionCode: number, unit: number, address: number, value: number): ModbusSample {
  const written = coilCodes.has(functionCode) ? Math.min(value, 1) : value;
  const values = writingCodes.has(functionCode) ? [written] : [];
  return { protocol: 'modbus', unit, functionCode, address, quantity: 1, values };
}

/** Literal segments stay; a wildcard becomes a segment nobody writes literally. */
function samplePath(pattern: string): string {
  return pattern
    .split('/')
    .map((segment) => (segment === '*' || segment === '**' ? 'self-test' : segment))
    .join('/');
}

export function matches(operation: SliceOperation, request: SampleRequest, subject: string): boolean {
  switch (operation.protocol) {
    case 'http':
      return (
        request.protocol === 'http' &&
        operation.methods.includes(request.method) &&
        operation.paths.some((pattern) => pathMatches(pattern, request.path)) &&
        boundsMatch(operation, request)
      );
    case 'modbus':
      return (
        request.protocol === 'modbus' &&
        operation.functionCodes.includes(request.functionCode) &&
        (operation.units.length === 0 || operation.units.includes(request.unit)) &&
        operation.addresses.some(
          ([from, to]) => request.address >= from && request.address + request.quantity - 1 <= to,
        ) &&
        request.values.every((value) => inRange(value, operation.values)) &&
        request.quantity <= (operation.maxQuantity ?? request.quantity) &&
        (operation.maxChangePerMinute === undefined ||
          !writingCodes.has(request.functionCode) ||
          (request.change ?? Infinity) <= operation.maxChangePerMinute)
      );
    case 'mqtt':
      return request.protocol === 'mqtt' && matchesMqtt(operation, request, subject);
    case 'tls':
      return request.protocol === 'tls' && operation.names.some((name) => nameMatches(name, request.serverName));
    case 'port':
      return request.protocol === 'port';
  }
}

function boundSample({ hosts, headers, maxBodyBytes }: HttpOperation): Partial<HttpSample> {
  const first = Object.entries(headers ?? {}).map(([name, values]) => [name, values.slice(0, 1)] as const);
  return {
    ...(hosts === undefined ? {} : { host: (hosts[0] ?? '').replace('*', 'self-test') }),
    ...(headers === undefined ? {} : { headers: Object.fromEntries(first) }),
    ...(maxBodyBytes === undefined ? {} : { bodyBytes: 0 }),
  };
}

function boundsMatch({ hosts, headers = {}, maxBodyBytes = Infinity }: HttpOperation, request: HttpSample): boolean {
  const { host } = request;
  const asked = new Map(Object.entries(request.headers ?? {}));
  return (
    (hosts === undefined || (host !== undefined && hosts.some((pattern) => hostMatches(pattern, host)))) &&
    Object.entries(headers).every(([name, values]) => values.includes(asked.get(name)?.join('\n') ?? '')) &&
    (maxBodyBytes === Infinity || (request.bodyBytes ?? Infinity) <= maxBodyBytes)
  );
}

function hostMatches(pattern: string, host: string): boolean {
  const withoutPort = (text: string): string => text.replace(/:\d+$/, '');
  if (
    withoutPort(pattern) !== pattern &&
    host.slice(withoutPort(host).length) !== pattern.slice(withoutPort(pattern).length)
  )
    return false;
  const [first, ...rest] = withoutPort(pattern).split('.');
  const [own, ...above] = withoutPort(host).split('.');
  return (first === '*' || first === own) && rest.join('.') === above.join('.');
}

/** Same method or function: with another address, path or value the operation could reach the request. */
export function isOfSameKind(operation: SliceOperation, request: SampleRequest): boolean {
  switch (operation.protocol) {
    case 'http':
      return request.protocol === 'http' && operation.methods.includes(request.method);
    case 'modbus':
      return request.protocol === 'modbus' && operation.functionCodes.includes(request.functionCode);
    case 'mqtt':
      return request.protocol === 'mqtt' && impliedActions(operation.actions).includes(request.action);
    case 'tls':
      return request.protocol === 'tls';
    case 'port':
      return request.protocol === 'port';
  }
}

function inRange(value: number, range: readonly [number, number] | undefined): boolean {
  return range === undefined || (value >= range[0] && value <= range[1]);
}

function nameMatches(pattern: string, name: string): boolean {
  const wanted = pattern.split('.');
  const given = name.split('.');
  return wanted.length === given.length && wanted.every((label, at) => label === '*' || label === given[at]);
}

function pathMatches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  const open = wanted[wanted.length - 1] === '**';
  const fixed = open ? wanted.slice(0, -1) : wanted;
  if (open ? given.length <= fixed.length : given.length !== fixed.length) return false;
  return fixed.every((segment, index) => (segment === '*' ? given[index] !== '' : segment === given[index]));
}
