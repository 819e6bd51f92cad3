// The policy that every engine is measured with: roles in domains, path patterns, networks, actions and denies, of any
// size, and distinct requests of which about half are allowed. The same seed gives the same corpus.
import { seededRandom } from '../../store/simulated-files.ts';

export const corpusModel = `[request_definition]
r = sub, dom, obj, act, ip
[policy_definition]
p = sub, dom, obj, act, net, eft
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && keyMatch2(r.obj, p.obj) && r.act == p.act && ipMatch(r.ip, p.net)
`;

export interface Rule {
  /** A role or a device. */
  readonly sub: string;
  readonly dom: string;
  /** keyMatch2. */
  readonly obj: string;
  readonly act: string;
  /** CIDR. */
  readonly net: string;
  readonly eft: 'allow' | 'deny';
}

export interface Link {
  readonly member: string;
  readonly role: string;
  readonly dom: string;
}

/** sub, dom, obj, act, ip. */
export type CorpusRequest = readonly [string, string, string, string, string];

export interface Corpus {
  readonly rules: readonly Rule[];
  readonly links: readonly Link[];
  readonly requests: readonly CorpusRequest[];
}

export const roleNames = ['viewer', 'operator', 'engineer', 'maintainer', 'vendor', 'safety'] as const;
const parents: Readonly<Record<string, string>> = { operator: 'viewer', engineer: 'operator', maintainer: 'operator' };
const actions = ['read', 'write', 'start', 'stop', 'configure'];
const assets = ['plc', 'drive', 'camera', 'meter', 'pump', 'valve'];

/** One line in ten is a deny, one in twenty belongs to the one domain that is much larger than the others. */
export function makeCorpus(lines: number, requests: number, seed = 20_261_122): Corpus {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const domains = Array.from({ length: Math.max(2, Math.round(Math.sqrt(lines) / 2)) }, (_, n) => `site-${n}`);
  const domainAt = (): number => (random() < 0.05 ? 0 : below(domains.length));
  const rules: Rule[] = [];
  const links: Link[] = [];
  const members: string[][] = domains.map(() => []);
  for (const dom of domains) {
    for (const [member, role] of Object.entries(parents)) {
      if (links.length < lines * 0.15) links.push({ member, role, dom });
    }
  }
  for (let n = 0; links.length < lines * 0.3; n++) {
    const domain = domainAt();
    const member = `device-${n}`;
    members[domain]?.push(member);
    links.push({ member, role: pick(roleNames), dom: domains[domain] ?? '' });
  }
  const network = (domain: number): string => {
    const site = `10.${domain % 256}`;
    return [`${site}.0.0/16`, `${site}.${below(64)}.0/24`, '10.0.0.0/8', '0.0.0.0/0'][below(4)] ?? '';
  };
  const object = (n: number): string =>
    [
      `/line/${below(20)}/cell/${n % 50}/${pick(assets)}/*`,
      `/line/${below(20)}/cell/:cell/${pick(assets)}/${n % 200}`,
      `/line/${below(20)}/cell/${n % 50}/${pick(assets)}/:unit/${pick(['status', 'setpoint', 'log'])}`,
      `/area/${n % 500}/*`,
    ][below(4)] ?? '';
  for (let n = 0; rules.length + links.length < lines; n++) {
    const domain = domainAt();
    const own = random() < 0.1 ? members[domain] : undefined;
    const deny = random() < 0.1;
    rules.push({
      sub: own !== undefined && own.length > 0 ? pick(own) : pick(roleNames),
      dom: domains[domain] ?? '',
      obj: deny ? `/line/${below(20)}/*` : object(n),
      act: pick(actions),
      net: network(domain),
      eft: deny ? 'deny' : 'allow',
    });
  }
  return { rules, links, requests: makeRequests({ rules, links }, requests, random) };
}

/** Most follow a rule that allows; some of these are changed in one place, the way a wrong request is nearly right. */
function makeRequests(
  { rules, links }: Omit<Corpus, 'requests'>,
  count: number,
  random: () => number,
): CorpusRequest[] {
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const holders = new Map<string, string[]>();
  for (const { member, role, dom } of links) {
    for (let name: string | undefined = role; name !== undefined; name = parents[name]) {
      const key = `${dom} ${name}`;
      holders.set(key, [...(holders.get(key) ?? []), member]);
    }
  }
  const allows = rules.filter(({ eft }) => eft === 'allow');
  const devices = links.map(({ member }) => member).filter((member) => member.startsWith('device'));
  const seen = new Set<string>();
  const requests: CorpusRequest[] = [];
  for (let tries = 0; requests.length < count && tries < count * 20; tries++) {
    const rule = pick(allows);
    const holding = holders.get(`${rule.dom} ${rule.sub}`)?.filter((name) => name.startsWith('device'));
    const sub = rule.sub.startsWith('device')
      ? rule.sub
      : holding === undefined || holding.length === 0
        ? pick(devices)
        : pick(holding);
    const request: [string, string, string, string, string] = [
      sub,
      rule.dom,
      rule.obj.replaceAll(/:\w+/g, () => String(below(10_000))).replace(/\*$/, `${pick(assets)}/${below(100_000)}`),
      rule.act,
      addressIn(rule.net, below),
    ];
    const change = below(12);
    if (change === 0) request[0] = pick(devices);
    if (change === 1) request[1] = pick(rules).dom;
    if (change === 2) request[2] = `/line/${below(20)}/cell/${below(50)}/${pick(assets)}/${below(1_000)}`;
    if (change === 3) request[3] = pick(actions);
    if (change === 4) request[4] = `192.168.${below(256)}.${below(256)}`;
    if (change === 5) request[2] += '/extra';
    const key = request.join('\n');
    if (seen.has(key)) continue;
    seen.add(key);
    requests.push(request);
  }
  return requests;
}

function addressIn(net: string, below: (limit: number) => number): string {
  const [address = '', bits = '0'] = net.split('/');
  const kept = Number(bits) / 8;
  return address
    .split('.')
    .map((part, index) => (index < kept ? part : String(index === 0 ? 1 + below(200) : below(256))))
    .join('.');
}

/** policy.csv of the corpus. */
export function corpusCsv({ rules, links }: Pick<Corpus, 'rules' | 'links'>): string {
  return [
    ...rules.map(({ sub, dom, obj, act, net, eft }) => `p, ${sub}, ${dom}, ${obj}, ${act}, ${net}, ${eft}`),
    ...links.map(({ member, role, dom }) => `g, ${member}, ${role}, ${dom}`),
  ].join('\n');
}
