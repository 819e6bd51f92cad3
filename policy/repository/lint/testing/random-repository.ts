// Random repositories whose rules overlap, repeat and contradict each other often, and requests that reach them.
import * as fc from 'fast-check';
import type { AccessRequest, Operation } from '../../../engine/request.ts';
import { sampleFiles, sampleNow } from '../../sample-tree.ts';

const devices = ['gateway-1', 'plc-1', 'hmi-1', 'desk-1'];
const paths = ['/', '/a', '/a/b', '/a/*', '/a/**', '/*', '/**', '/v1.0/x', '/b'];
const operationNames = ['one', 'two', 'three'];
const range = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }))
  .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const everyOperation = {
  class: fc.constantFrom('normal', 'normal', 'normal', 'sensitive', 'safety'),
  island: fc.boolean(),
};
const named = (operations: readonly object[]): object =>
  Object.fromEntries(operations.map((operation, index) => [operationNames[index], operation]));
/** Often the same requests again with another class or island, so that operations contain each other. */
const three = (operation: fc.Arbitrary<Record<string, unknown>>): fc.Arbitrary<object> =>
  fc.tuple(operation, operation, operation, fc.boolean(), fc.boolean()).map(([a, b, c, second, third]) => {
    const like = (other: Record<string, unknown>) => ({ ...a, class: other['class'], island: other['island'] });
    return named([a, second ? like(b) : b, third ? like(c) : c]);
  });

const http = three(
  fc
    .record({
      methods: fc.subarray(['GET', 'PUT'], { minLength: 1 }),
      paths: fc.uniqueArray(fc.constantFrom(...paths), { minLength: 1, maxLength: 3 }),
      bounds: fc.constantFrom<object>(
        {},
        {},
        {},
        { hosts: ['a.example'] },
        { headers: { 'x-line': ['one'] } },
        { maxBodyBytes: 1 },
      ),
      ...everyOperation,
    })
    .map(({ bounds, ...rest }): Record<string, unknown> => ({ ...rest, ...bounds })),
);
const modbus = three(
  fc
    .record(
      {
        functions: fc.subarray([3, 6, 16], { minLength: 1 }),
        units: fc.subarray([1, 2]),
        addresses: fc.array(range, { minLength: 1, maxLength: 2 }),
        values: range,
        maxQuantity: fc.integer({ min: 1, max: 2 }),
        maxChangePerMinute: fc.integer({ min: 1, max: 2 }),
        ...everyOperation,
      },
      { requiredKeys: ['functions', 'addresses', 'class', 'island'] },
    )
    // A bound of change is about one unit (POLICY_CHANGE_BOUND).
    .map((one): Record<string, unknown> =>
      one.maxChangePerMinute === undefined ? one : { ...one, units: [one.units?.[0] ?? 1] },
    ),
);
const port = three(fc.record(everyOperation));

const interfaces = fc.tuple(http, modbus, port).map(([web, registers, socket]) => [
  { name: 'web', device: 'plc-1', protocol: 'http', port: 80, casbin: 'hmi', operations: web },
  { name: 'registers', device: 'plc-1', protocol: 'modbus', port: 502, operations: registers },
  { name: 'socket', devices: { labels: { role: 'gateway' } }, protocol: 'port', port: 99, operations: socket },
]);
const interfaceName = fc.constantFrom('web', 'web', 'registers', 'socket');

const shared = {
  attestation: fc.subarray(['none', 'software', 'tpm'], { minLength: 1 }),
  timeWindow: fc.constantFrom('06:00-18:00', '10:00-14:00', '22:00-06:00', '00:00-24:00'),
  weekdays: fc.subarray(['sat', 'sun', 'mon'], { minLength: 1 }),
  attributes: fc.constantFrom<object>(
    { 'subject.site': { equals: 'a' } },
    { 'subject.site': { in: ['a', 'b'] } },
    { 'context.load': { max: 5 } },
    { 'context.load': { min: 2, max: 4 } },
  ),
};
const some = (kinds: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    {
      weight: 2,
      arbitrary: fc
        .record(kinds, { requiredKeys: [] })
        .map((all) => Object.fromEntries(Object.entries(all).slice(0, 2))),
    },
  );
const subjects = fc.subarray(devices, { minLength: 1 });
const period = {
  until: fc.constantFrom('2027-01-01', '2027-06-01'),
  notBefore: fc.constantFrom('2026-01-01', '2026-12-24'),
};

const servers: Readonly<Record<string, string>> = { web: 'plc-1', registers: 'plc-1', socket: 'gateway-1' };

const grant = fc
  .record(
    {
      subjects,
      interface: interfaceName,
      operations: fc.subarray(operationNames, { minLength: 1 }),
      binding: fc.constantFrom('ip', 'ip', 'svid', 'port+mac+ip'),
      conditions: some({ ...shared, maxRisk: fc.constantFrom(10, 50), attestationMaxAge: fc.constantFrom('1m', '1h') }),
      ...period,
    },
    { requiredKeys: ['subjects', 'interface', 'operations', 'binding', 'conditions'] },
  )
  .map((one) => ({
    ...one,
    ...(one.interface === 'socket' ? { uses: undefined, rate: undefined, obligations: undefined } : {}),
    // A plain port shows no certificate, and a device needs no grant to reach itself.
    binding: one.interface === 'socket' && one.binding === 'svid' ? 'ip' : one.binding,
    subjects: one.subjects.every((subject) => subject === servers[one.interface]) ? ['hmi-1'] : one.subjects,
  }));
const deny = fc
  .record(
    {
      subjects: fc.oneof(fc.constant('all'), subjects),
      interface: interfaceName,
      operations: fc.oneof(fc.constant('all'), fc.subarray(operationNames, { minLength: 1 })),
      conditions: some({ ...shared, minRisk: fc.constantFrom(10, 50) }),
      ...period,
    },
    { requiredKeys: ['subjects', 'interface', 'operations', 'conditions'] },
  )
  .map(({ conditions, ...rest }) => {
    const assume = {
      'subject.attestation': 'none',
      'subject.risk': 0,
      'subject.site': 'a',
      'context.load': 0,
    };
    const read = Object.keys({
      ...('attestation' in conditions ? { 'subject.attestation': 1 } : {}),
      ...('minRisk' in conditions ? { 'subject.risk': 1 } : {}),
      ...('attributes' in conditions ? (conditions.attributes as object) : {}),
    });
    if (Object.keys(conditions).length === 0) return rest;
    const assumed = Object.fromEntries(Object.entries(assume).filter(([path]) => read.includes(path)));
    return { ...rest, conditions, ...(read.length === 0 ? {} : { assume: assumed }) };
  });

/** Request fields, columns of p before eft, and the matcher over them; obj is a pattern of the function. */
const matchers = [
  { m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act', objects: ['/', '/a', '/a/b', '/c'] },
  {
    m: 'g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act',
    objects: ['/', '/a', '/a/*', '/a*', '/*', '*', '/b'],
  },
  {
    m: 'g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act',
    objects: ['/', '/a', '/:x', '/a/:y', '/a/b', '/a/*', '/*', '*', '/v1.0/x', '/v1.0/:z'],
  },
  {
    m: 'g(r.sub, p.sub) && keyMatch3(r.obj, p.obj) && r.act == p.act',
    objects: ['/', '/a', '/{x}', '/a/{y}', '/a/{z}', '/a/*', '/*'],
  },
  {
    m: 'r.sub == p.sub && regexMatch(r.obj, p.obj) && r.act in (p.act, "PUT")',
    objects: ['^/a', '/a', '^/.*$', '^/a/b$'],
  },
  {
    m: '(r.sub == p.sub || g(r.sub, p.sub)) && globMatch(r.obj, p.obj) && r.act == p.act',
    objects: ['/a', '/*', '/a/**', '/**', '/a/b'],
  },
  { m: 'g(r.sub, p.sub) && !keyMatch(r.obj, p.obj) && r.act == p.act', objects: ['/a', '/a/*', '/b'] },
] as const;
const effects = [
  'some(where (p.eft == allow))',
  '!some(where (p.eft == deny))',
  'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  'priority(p.eft) || deny',
] as const;

export interface RandomCasbin {
  readonly model: string;
  readonly lines: readonly string[];
}

const names = [...devices, 'viewer', 'staff', 'nobody'];
const casbin: fc.Arbitrary<RandomCasbin> = fc
  .tuple(fc.constantFrom(...matchers), fc.constantFrom(...effects), fc.boolean())
  .chain(([{ m, objects }, e, numbered]) => {
    const priority = numbered && e.startsWith('priority');
    const line = fc
      .tuple(
        fc.constantFrom(...names),
        fc.constantFrom(...objects),
        fc.constantFrom('GET', 'GET', 'PUT', 'get'),
        e === effects[0] ? fc.constant('allow') : fc.constantFrom('allow', e === effects[1] ? 'deny' : 'allow', 'deny'),
        fc.integer({ min: 1, max: 3 }),
      )
      .map(([sub, obj, act, eft, order]) => `p, ${priority ? `${order}, ` : ''}${sub}, ${obj}, ${act}, ${eft}`);
    const link = fc
      .tuple(fc.constantFrom(...names), fc.constantFrom('viewer', 'staff'))
      .map(([a, b]) => `g, ${a}, ${b}`);
    const roles = m.includes('g(');
    return fc
      .tuple(fc.array(line, { minLength: 2, maxLength: 12 }), fc.array(link, { maxLength: roles ? 5 : 0 }))
      .map(([lines, links]) => ({
        model: `[request_definition]\nr = sub, obj, act\n[policy_definition]\np = ${priority ? 'priority, ' : ''}sub, obj, act, eft\n${roles ? '[role_definition]\ng = _, _\n' : ''}[policy_effect]\ne = ${e}\n[matchers]\nm = ${m}\n`,
        lines: [...lines, ...links],
      }));
  });

export interface RandomRepository {
  readonly interfaces: readonly object[];
  readonly grants: readonly object[];
  readonly denies: readonly object[];
  readonly casbin: RandomCasbin;
}

/** Rules made from others: the same again, a stricter one, the opposite. */
const kin = fc.array(fc.tuple(fc.nat(), fc.constantFrom('again', 'stricter', 'moved', 'loaded', 'opposite')), {
  maxLength: 4,
});

export const randomRepository: fc.Arbitrary<RandomRepository> = fc
  .record({
    interfaces,
    grants: fc.array(grant, { minLength: 3, maxLength: 8 }),
    denies: fc.oneof(fc.constant([]), fc.array(deny, { maxLength: 4 })),
    casbin,
    kin,
  })
  .map(({ kin: made, ...repository }) => {
    const pick = (index: number) => repository.grants[index % repository.grants.length];
    const again = made.flatMap(([index, kind]) => {
      const { conditions = {}, ...rest } = pick(index) ?? {};
      if (kind === 'again') return [{ ...rest, conditions }];
      if (kind === 'moved') return [{ ...rest, conditions, operations: ['two'] }];
      if (kind === 'loaded') {
        return [{ ...rest, conditions: { ...conditions, attributes: { 'context.load': { max: 5 } } } }];
      }
      return kind === 'stricter' ? [{ ...rest, conditions: { ...conditions, maxRisk: 1 } }] : [];
    });
    const opposite = made.flatMap(([index, kind]) => {
      const { subjects: who, interface: where, operations: what } = pick(index) ?? {};
      return kind === 'opposite' ? [{ subjects: who, interface: where, operations: what }] : [];
    });
    return {
      ...repository,
      grants: [...repository.grants, ...again],
      denies: [...repository.denies, ...opposite],
    };
  });

/** Grants on the lines 2 and following of grants/a.yaml, denies likewise in grants/b.yaml, Casbin lines from 1 on. */
export function filesOf({
  interfaces: services,
  grants,
  denies,
  casbin: policy,
}: RandomRepository): Record<string, string> {
  const list = (key: string, entries: readonly object[]): string =>
    `${key}:${entries.length === 0 ? ' []' : ''}\n${entries.map((entry) => `  - ${JSON.stringify(entry)}\n`).join('')}`;
  const ided = (prefix: string, entries: readonly object[]): object[] =>
    entries.map((entry, index) => ({ id: 'id' in entry ? entry.id : `${prefix}${index}`, ...entry }));
  return {
    ...sampleFiles,
    'inventory/cell.yaml': (sampleFiles['inventory/cell.yaml'] ?? '').replaceAll(
      /address: 10\.\d+\.0\.(\d+)\}/g,
      (found, last: string) => found.replace('}', `, mac: '02:00:00:00:00:${last}'}`),
    ),
    'schema/a.json': '{"subject": {"site": {"type": "string"}}, "context": {"load": {"type": "number"}}}',
    'interfaces/cell.yaml': list('interfaces', services),
    'grants/cell.yaml': list('grants', ided('g', grants)),
    'grants/denies.yaml': list('denies', ided('d', denies)),
    'casbin/hmi/model.conf': policy.model,
    'casbin/hmi/policy.csv': policy.lines.map((line) => `${line}\n`).join(''),
    'tests/cell.yaml': 'tests: []\n',
    'waivers/w.yaml':
      'waivers:\n  - {id: w, rule: POLICY_WRITE_OVER_ADDRESS, at: grants/cell.yaml, owner: o, reason: r, until: 2027-06-01}\n',
  };
}

const operation: fc.Arbitrary<[string, string, Operation]> = fc.oneof(
  fc.tuple(
    fc.constant('web'),
    fc.constant('plc-1'),
    fc
      .record({
        protocol: fc.constant('http' as const),
        method: fc.constantFrom('GET', 'PUT', 'DELETE'),
        path: fc.constantFrom('/', '/a', '/A', '/a/', '/a/b', '/a/b/c', '/b', '/c', '/v1.0/x', '/v1X0/x', '/v1.0/y'),
        known: fc.constantFrom<object>(
          {},
          { host: 'a.example', headers: { 'x-line': ['one'] }, bodyBytes: 0 },
          { bodyBytes: 2 },
        ),
      })
      .map(({ known, ...rest }) => ({ ...rest, ...known })),
  ),
  fc.tuple(
    fc.constant('registers'),
    fc.constant('plc-1'),
    fc
      .record({
        unit: fc.integer({ min: 0, max: 3 }),
        functionCode: fc.constantFrom(3, 6, 16),
        address: fc.integer({ min: 0, max: 7 }),
        quantity: fc.constantFrom(1, 1, 2),
        value: fc.integer({ min: 0, max: 7 }),
        change: fc.constantFrom(undefined, 0, 1, 2, 3),
      })
      .map(({ value, change, ...rest }) => {
        const quantity = rest.functionCode === 6 ? 1 : rest.quantity;
        const values = rest.functionCode === 3 ? [] : Array.from({ length: quantity }, () => value);
        const known = change === undefined || values.length === 0 ? {} : { change };
        return { ...rest, quantity, protocol: 'modbus' as const, values, ...known };
      }),
  ),
  fc.tuple(fc.constant('socket'), fc.constant('gateway-1'), fc.constant({ protocol: 'port' as const })),
);

/** A request with the device that serves it. */
export const randomRequest: fc.Arbitrary<{ device: string; request: AccessRequest }> = fc
  .record({
    asked: operation,
    subject: fc.constantFrom(...devices, 'stranger'),
    binding: fc.constantFrom('ip' as const, 'svid' as const, 'port+mac+ip' as const),
    state: fc.constantFrom(
      'trusted' as const,
      'trusted' as const,
      'stale' as const,
      'quarantined' as const,
      'suspect' as const,
    ),
    attestation: fc.constantFrom('none', 'software', 'tpm'),
    age: fc.constantFrom(1_000, 600_000),
    risk: fc.constantFrom(0, 20, 80),
    site: fc.constantFrom('a', 'b', 'c', undefined),
    load: fc.constantFrom(0, 3, 9, undefined),
    hours: fc.integer({ min: 0, max: 24 * 60 }),
  })
  .map(({ asked: [name, device, wanted], subject, binding, state, attestation, age, risk, site, load, hours }) => {
    const time = sampleNow + hours * 3_600_000;
    const known = (value: string | number): { value: string | number; asOf: number } => ({ value, asOf: time - age });
    return {
      device,
      request: {
        subject: {
          id: subject,
          binding,
          state,
          attributes: {
            attestation: known(attestation),
            risk: known(risk),
            ...(site === undefined ? {} : { site: known(site) }),
          },
        },
        operation: wanted,
        resource: { interface: name, attributes: {} },
        context: {
          time,
          source: '10.77.0.1',
          connection: 'c',
          attributes: load === undefined ? {} : { load: known(load) },
        },
      },
    };
  });
