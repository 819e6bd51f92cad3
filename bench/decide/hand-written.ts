// What somebody would write who had this one policy and an afternoon: Maps from domain, role and action to rules, patterns
// split once, networks as two numbers. It can do nothing else; it is the measure of what being general costs.
import type { Corpus, CorpusRequest, Rule } from './corpus.ts';

interface Prepared {
  readonly segments: readonly string[];
  readonly open: boolean;
  readonly network: number;
  readonly mask: number;
  readonly deny: boolean;
}

export function handWrittenIndex({ rules, links }: Corpus): (request: CorpusRequest) => boolean {
  const direct = new Map<string, string[]>();
  for (const { member, role, dom } of links) {
    const key = `${dom} ${member}`;
    direct.set(key, [...(direct.get(key) ?? []), role]);
  }
  const rolesOf = new Map<string, string[]>();
  for (const key of direct.keys()) {
    const dom = key.slice(0, key.indexOf(' '));
    const roles = [key.slice(dom.length + 1)];
    for (const role of roles)
      for (const next of direct.get(`${dom} ${role}`) ?? []) if (!roles.includes(next)) roles.push(next);
    rolesOf.set(key, roles);
  }
  const byKey = new Map<string, Prepared[]>();
  for (const rule of rules) {
    const key = `${rule.dom} ${rule.act} ${rule.sub}`;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, [prepare(rule)]);
    else known.push(prepare(rule));
  }
  return ([sub, dom, obj, act, ip]) => {
    const address = numberOf(ip);
    const parts = obj.split('/');
    let allowed = false;
    for (const role of rolesOf.get(`${dom} ${sub}`) ?? [sub]) {
      for (const rule of byKey.get(`${dom} ${act} ${role}`) ?? []) {
        if (((address ^ rule.network) & rule.mask) !== 0 || !fits(rule, parts)) continue;
        if (rule.deny) return false;
        allowed = true;
      }
    }
    return allowed;
  };
}

function prepare({ obj, net, eft }: Rule): Prepared {
  const segments = obj.split('/');
  const open = segments.at(-1) === '*';
  const [address = '', bits = '0'] = net.split('/');
  return {
    segments: open ? segments.slice(0, -1) : segments,
    open,
    network: numberOf(address),
    mask: Number(bits) === 0 ? 0 : 0xffffffff << (32 - Number(bits)),
    deny: eft === 'deny',
  };
}

function fits({ segments, open }: Prepared, parts: readonly string[]): boolean {
  if (open ? parts.length <= segments.length : parts.length !== segments.length) return false;
  return segments.every((segment, index) => (segment.startsWith(':') ? parts[index] !== '' : segment === parts[index]));
}

function numberOf(address: string): number {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return (a << 24) | (b << 16) | (c << 8) | d;
}
