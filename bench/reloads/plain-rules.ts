// What a policy of the corpus says, in the simplest words: every line of the domain is looked at, patterns are regular
// expressions, networks are node's. Shares nothing with the engine; node-casbin agrees (fault-soak.test.ts).
import { BlockList } from 'node:net';
import type { CorpusRequest, Link, Rule } from '../decide/corpus.ts';

export type PolicyLine = { readonly rule: Rule } | { readonly link: Link };

export class PlainRules {
  readonly #rules = new Map<string, Set<Rule>>();
  readonly #links = new Map<string, Set<Link>>();

  /** The same object is one line. */
  add(line: PolicyLine): void {
    if ('rule' in line) put(this.#rules, line.rule.dom, line.rule);
    else put(this.#links, `${line.link.dom} ${line.link.member}`, line.link);
  }

  remove(line: PolicyLine): void {
    if ('rule' in line) this.#rules.get(line.rule.dom)?.delete(line.rule);
    else this.#links.get(`${line.link.dom} ${line.link.member}`)?.delete(line.link);
  }

  allows(request: CorpusRequest): boolean {
    const rules = this.matching(request);
    return rules.length > 0 && rules.every(({ eft }) => eft === 'allow');
  }

  matching([sub, dom, obj, act, ip]: CorpusRequest): Rule[] {
    const names = new Set([sub]);
    for (const name of names) for (const { role } of this.#links.get(`${dom} ${name}`) ?? []) names.add(role);
    return [...(this.#rules.get(dom) ?? [])].filter(
      (rule) => rule.act === act && names.has(rule.sub) && pathOf(rule.obj).test(obj) && networkOf(rule.net).check(ip),
    );
  }
}

function put<T>(sets: Map<string, Set<T>>, key: string, item: T): void {
  const known = sets.get(key);
  if (known === undefined) sets.set(key, new Set([item]));
  else known.add(item);
}

const paths = new Map<string, RegExp>();
const networks = new Map<string, BlockList>();

/** keyMatch2 of the corpus: a parameter is one segment, a last star is any rest. */
function pathOf(pattern: string): RegExp {
  const known = paths.get(pattern);
  if (known !== undefined) return known;
  const path = new RegExp(`^${pattern.replaceAll(/:\w+/g, '[^/]+').replace(/\*$/, '.*')}$`);
  paths.set(pattern, path);
  return path;
}

function networkOf(cidr: string): BlockList {
  const known = networks.get(cidr);
  if (known !== undefined) return known;
  const [address = '', bits = ''] = cidr.split('/');
  const network = new BlockList();
  network.addSubnet(address, Number(bits));
  networks.set(cidr, network);
  return network;
}
