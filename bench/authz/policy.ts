// The policy of the bench: one edge with 100,000 rules, some as grants and denies on interfaces of its own operations, the
// rest as lines of a Casbin model (roles in domains, keyMatch2, denies, as in ../decide/corpus.ts) that narrows others. And
// what it says of an access, by construction: nothing here asks the engine.
import { type Slice, type SliceOperation, sliceSchema } from '../../policy/bundle/slice.ts';
import { seededRandom } from '../../store/simulated-files.ts';
import { type CorpusRequest, makeCorpus } from '../decide/corpus.ts';
import { handWrittenIndex } from '../decide/hand-written.ts';

export const trustDomain = 'plant.example';
export const edgeDevice = 'plc-1';
export const DEVICES = 1_500;
const WEB_INTERFACES = 24;
const WEB_OPERATIONS = 50;
const DENIES = 300;
/** One allow in so many is recorded whole, the others in exact counts; denials always. */
export const ALLOWS_SAMPLED = 100;
/** Of the rules, the share that are lines of policy.csv. */
const CASBIN_SHARE = 0.65;
/** Above it some grants do not hold. */
const MAX_RISK = 50;

/** What one request is about; a stranger has a certificate of ours and stands in no signed state. */
export interface Access {
  readonly device: string;
  readonly interface: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
}

export interface FleetDevice {
  readonly id: string;
  readonly state: 'trusted' | 'quarantined';
  readonly risk: number;
}

export interface FleetPolicy {
  readonly slice: Slice;
  /** Grants, denies, and lines of policy.csv. */
  readonly rules: number;
  readonly devices: readonly FleetDevice[];
  /** Distinct accesses with the answer that they have to get: `allowed` of them allowed, as many denied. */
  readonly accesses: readonly (Access & { readonly allow: boolean })[];
}

const casbinModel = `[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, dom, obj, act, eft
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && keyMatch2(r.obj, p.obj) && r.act == p.act
`;

/** The corpus's actions as methods. */
const methods: Readonly<Record<string, string>> = {
  read: 'GET',
  write: 'PUT',
  start: 'POST',
  stop: 'DELETE',
  configure: 'PATCH',
};
const methodOf = (action: string): string => methods[action] ?? action;
const webMethods = [['GET'], ['POST'], ['PUT', 'PATCH'], ['GET', 'HEAD']] as const;

const deviceName = (n: number): string => `device-${n}`;
/** The corpus has more devices than an edge has peers: each of ours is several of its. */
const ours = (member: string): string => {
  const n = /^device-(\d+)$/.exec(member)?.[1];
  return n === undefined ? member : deviceName(Number(n) % DEVICES);
};

interface Random {
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
}

function randomFrom(seed: number): Random {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  return { below, pick: <T>(list: readonly T[]): T => list[below(list.length)] as T };
}

/** The same numbers give the same policy; `now` dates the grants that have ended. */
export function fleetPolicy(rules: number, accesses: number, now: number): FleetPolicy {
  const random = randomFrom(20_261_123);
  const devices = Array.from({ length: DEVICES }, (_, n): FleetDevice => ({
    id: deviceName(n),
    state: n % 97 === 96 ? 'quarantined' : 'trusted',
    risk: n % 10 === 9 ? 80 : 10,
  }));
  const sites = casbinPart(Math.round(rules * CASBIN_SHARE), accesses * 2, random);
  const web = webPart(rules - sites.rules, accesses * 2, devices, now, random);
  const slice = sliceSchema.parse({
    format: 1,
    trustDomain,
    device: edgeDevice,
    devices: [],
    interfaces: [...sites.interfaces, ...web.interfaces],
    grants: [...sites.grants, ...web.grants],
    denies: web.denies,
    firewall: [],
    casbin: [{ name: 'sites', model: casbinModel, policy: sites.csv, place: 'casbin/sites/model.conf:1' }],
    selfTest: [],
  } satisfies Slice);
  const stateAllows = new Set(devices.filter(({ state }) => state === 'trusted').map(({ id }) => id));
  const asked = [...sites.accesses, ...web.accesses].map((one) => ({
    ...one,
    allow: one.allow && stateAllows.has(one.device),
  }));
  return { slice, rules: sites.rules + web.rules, devices, accesses: halfAllowed(asked, accesses, random) };
}

type Answered = FleetPolicy['accesses'][number];

/** Distinct ones, as many allowed as denied, in random order. */
function halfAllowed(asked: readonly Answered[], count: number, random: Random): Answered[] {
  const distinct = [
    ...new Map(asked.map((one) => [JSON.stringify([one.device, one.interface, one.method, one.path]), one])).values(),
  ];
  const shuffled = (allow: boolean): Answered[] =>
    shuffle(
      distinct.filter((one) => one.allow === allow),
      random,
    );
  const chosen = [...shuffled(true).slice(0, count / 2), ...shuffled(false).slice(0, count / 2)];
  if (chosen.length < count) throw new Error(`only ${chosen.length} of ${count} accesses could be made`);
  return shuffle(chosen, random);
}

function shuffle<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list];
  for (let at = copy.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [copy[at], copy[other]] = [copy[other] as T, copy[at] as T];
  }
  return copy;
}

interface Part {
  readonly rules: number;
  readonly interfaces: Slice['interfaces'];
  readonly grants: Slice['grants'];
  readonly accesses: readonly Answered[];
}

/** One interface for each domain of the corpus; a grant for each method to most members, narrowed by the model. */
function casbinPart(lines: number, count: number, random: Random): Part & { readonly csv: string } {
  const corpus = makeCorpus(lines, count);
  const rules = corpus.rules.map((rule) => ({ ...rule, sub: ours(rule.sub), net: '0.0.0.0/0' }));
  const links = corpus.links.map((link) => ({ ...link, member: ours(link.member) }));
  const csv = [
    ...new Set([
      ...rules.map(({ sub, dom, obj, act, eft }) => `p, ${sub}, ${dom}, ${obj}, ${methodOf(act)}, ${eft}`),
      ...links.map(({ member, role, dom }) => `g, ${member}, ${role}, ${dom}`),
    ]),
  ];
  const members = Map.groupBy(
    [...links.map(({ member, dom }) => ({ member, dom })), ...rules.map(({ sub, dom }) => ({ member: sub, dom }))],
    ({ dom }) => dom,
  );
  const granted = new Set<string>();
  const grants: Slice['grants'] = [];
  for (const [dom, all] of members) {
    const known = [...new Set(all.map(({ member }) => member))].filter((member) => member.startsWith('device-'));
    for (const method of Object.values(methods)) {
      const subjects = known.filter(() => random.below(12) > 0);
      for (const subject of subjects) granted.add(`${dom} ${method} ${subject}`);
      if (subjects.length === 0) continue;
      grants.push({
        id: `${dom}-${method.toLowerCase()}`,
        subjects,
        interface: dom,
        device: edgeDevice,
        operations: [method.toLowerCase()],
        binding: 'svid',
        conditions: {},
        place: `grants/${dom}.yaml:${grants.length + 1}`,
      });
    }
  }
  const casbinAllows = handWrittenIndex({ rules, links, requests: [] });
  const accesses = corpus.requests.map(([sub, dom, obj, act, ip]): Answered => {
    const request: CorpusRequest = [ours(sub), dom, obj, act, ip];
    const method = methodOf(act);
    const allow = granted.has(`${dom} ${method} ${ours(sub)}`) && casbinAllows(request);
    return { device: ours(sub), interface: dom, method, path: obj, allow };
  });
  const interfaces = [...members.keys()].map((name) => ({
    ...service(name, 'interfaces/sites.yaml:1'),
    casbin: 'sites',
    operations: Object.values(methods).map((method) =>
      operation(method.toLowerCase(), [method], ['/line/**', '/area/**']),
    ),
  }));
  return { rules: csv.length + grants.length, interfaces, grants, accesses, csv: csv.join('\n') };
}

/** Grants of one device to one to three operations, some with a condition on risk, some that have ended; denies. */
function webPart(
  rules: number,
  count: number,
  devices: readonly FleetDevice[],
  now: number,
  random: Random,
): Part & { readonly denies: Slice['denies'] } {
  const names = Array.from({ length: WEB_INTERFACES }, (_, n) => `web-${n}`);
  const interfaces = names.map((name) => ({
    ...service(name, `interfaces/${name}.yaml:1`),
    operations: Array.from({ length: WEB_OPERATIONS }, (_, n) =>
      operation(`op-${n}`, webMethods[n % 4] ?? [], [`/api/v1/line/${n}/cell/*/status`, `/api/v1/area/${n}/**`]),
    ),
  }));
  const grants = Array.from({ length: rules - DENIES }, (_, n): Slice['grants'][number] => ({
    id: `grant-${n}`,
    subjects: [random.pick(devices).id],
    interface: random.pick(names),
    device: edgeDevice,
    operations: [...new Set(Array.from({ length: 1 + random.below(3) }, () => `op-${random.below(WEB_OPERATIONS)}`))],
    binding: 'svid',
    conditions: random.below(5) < 2 ? { maxRisk: MAX_RISK } : {},
    ...(random.below(20) === 0 ? { until: now - 3_600_000 } : {}),
    place: `grants/web.yaml:${n + 1}`,
  }));
  const denies = Array.from({ length: DENIES }, (_, n): Slice['denies'][number] => {
    const of = random.pick(grants);
    const place = `grants/denies.yaml:${n + 1}`;
    return {
      id: `deny-${n}`,
      subjects: of.subjects,
      interface: of.interface,
      device: edgeDevice,
      operations: of.operations,
      place,
    };
  });
  const risks = new Map(devices.map(({ id, risk }) => [id, risk]));
  const open = new Set<string>();
  for (const { subjects, interface: name, operations, conditions, until } of grants) {
    for (const subject of subjects) {
      const holds = until === undefined && (conditions.maxRisk ?? 100) >= (risks.get(subject) ?? 100);
      if (holds) for (const one of operations) open.add(`${name} ${one} ${subject}`);
    }
  }
  for (const { subjects, interface: name, operations } of denies) {
    for (const one of operations) open.delete(`${name} ${one} ${subjects.join('')}`);
  }
  const accesses = Array.from({ length: count }, () => webAccess(random.pick(grants), names, open, random));
  return { rules: grants.length + denies.length, interfaces, grants, denies, accesses };
}

/** What a grant opens, or nearly that: changed in one place. */
function webAccess(
  grant: Slice['grants'][number],
  names: readonly string[],
  open: ReadonlySet<string>,
  random: Random,
): Answered {
  const change = random.below(12);
  const device =
    change === 0
      ? deviceName(random.below(DEVICES))
      : change === 1
        ? `stranger-${random.below(50)}`
        : (grant.subjects[0] ?? '');
  const name = change === 2 ? random.pick(names) : grant.interface;
  const chosen =
    change === 3 ? random.below(WEB_OPERATIONS) : Number(random.pick(grant.operations).slice('op-'.length));
  const right = random.pick<string>(webMethods[chosen % 4] ?? []);
  const method = change === 4 ? 'DELETE' : right;
  const number = numberText(random.below(100_000_000));
  const inside = random.below(2) === 0 ? `line/${chosen}/cell/${number}/status` : `area/${chosen}/tank/${number}`;
  const query = random.below(3) === 0 ? `?from=${random.below(10_000)}&to=${random.below(10_000)}` : '';
  const path = change === 5 ? `/admin/v1/${inside}` : `/api/v1/${inside}`;
  const allow = method === right && change !== 5 && open.has(`${name} op-${chosen} ${device}`);
  return { device, interface: name, method, path: `${path}${query}`, allow };
}

/** Eight digits in a path that no pattern looks at: what may be another number in every sending. */
export const numberText = (n: number): string => String(n).padStart(8, '0');

const service = (name: string, place: string) =>
  ({
    name,
    device: edgeDevice,
    protocol: 'http',
    transport: 'tcp',
    port: 8080,
    onEnforcerDeath: 'closed',
    auditDurable: false,
    allowsSampled: ALLOWS_SAMPLED,
    place,
  }) as const;

const operation = (name: string, allowed: readonly string[], paths: readonly string[]): SliceOperation => ({
  name,
  protocol: 'http',
  methods: [...allowed],
  paths: [...paths],
  class: 'normal',
  island: false,
});
