// The corpus in Rego, compiled to WebAssembly by opa and asked through opa's own JavaScript host. Twice: as the rules
// stand, a list that is walked as Casbin's is; and with the rules laid out by hand for this one policy, by domain, action
// and role, with every pattern cut beforehand: what hand-written.ts is among the indexes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type * as OpaWasm from '@open-policy-agent/opa-wasm';
import { findOpa, opaVersion } from '../../policy/repository/rego/opa.ts';
import { fileOfTar } from '../../policy/repository/rego/tar.ts';
import { type Contender, contender } from './contender.ts';
import type { Corpus, Rule } from './corpus.ts';
import { NotHere } from './not-here.ts';
import { rolesByMember } from './roles-by-member.ts';

/** Rules one after the other, cheap comparisons first. */
const walked = `package bench

default allow := false

allow if {
	some rule in data.rules
	rule.eft == "allow"
	fits(rule)
	not denied
}

denied if {
	some rule in data.rules
	rule.eft == "deny"
	fits(rule)
}

fits(rule) if {
	rule.dom == input.dom
	rule.act == input.act
	rule.sub in names
	glob.match(rule.path, ["/"], input.obj)
	net.cidr_contains(rule.net, input.ip)
}

names := {input.sub} | {name | some name in object.get(data.roles, [input.dom, input.sub], [])}
`;

const laidOut = `package bench

default allow := false

allow if {
	some rule in candidates
	rule.eft == "allow"
	not denied
}

denied if {
	some rule in candidates
	rule.eft == "deny"
}

candidates contains rule if {
	some name in names
	some rule in data.rules[input.dom][input.act][name]
	fits(rule)
}

names := array.concat([input.sub], object.get(data.roles, [input.dom, input.sub], []))

slashes := count(split(input.obj, "/"))

fits(rule) if {
	rule.open
	startswith(input.obj, rule.start)
	net.cidr_contains(rule.net, input.ip)
}

fits(rule) if {
	not rule.open
	slashes == rule.slashes
	startswith(input.obj, rule.start)
	endswith(input.obj, rule.end)
	count(input.obj) > rule.length
	net.cidr_contains(rule.net, input.ip)
}
`;

export function opaWalked(corpus: Corpus): Contender {
  const rules = corpus.rules.map(({ obj, ...rule }) => ({ ...rule, path: globOf(obj) }));
  return opa(
    walked,
    { rules, roles: rolesDocument(corpus) },
    'rules in data.json, walked; roles closed beforehand; path patterns by glob.match, networks by net.cidr_contains',
  );
}

export function opaLaidOut(corpus: Corpus): Contender {
  const rules: Record<string, Record<string, Record<string, object[]>>> = {};
  for (const rule of corpus.rules) {
    const byName = ((rules[rule.dom] ??= {})[rule.act] ??= {});
    (byName[rule.sub] ??= []).push(cut(rule));
  }
  return opa(
    laidOut,
    { rules, roles: rolesDocument(corpus) },
    'an index in data.json, laid out by hand for this one policy: by domain, action and role; patterns cut beforehand',
  );
}

function opa(policy: string, data: object, says: string): Contender {
  const { loadPolicySync } = createRequire(import.meta.url)('@open-policy-agent/opa-wasm') as typeof OpaWasm;
  // 4 GiB at most: the host's default of five pages holds no corpus.
  const loaded = loadPolicySync(compile(policy), { initial: 5, maximum: 65_536 });
  loaded.setData(data);
  return contender(
    says,
    ([sub, dom, obj, act, ip]) => ({ sub, dom, obj, act, ip }),
    (input) => (loaded.evaluate(input) as { result?: unknown }[])[0]?.result === true,
  );
}

function compile(policy: string): Uint8Array<ArrayBuffer> {
  const found = findOpa();
  if (found === undefined) throw new NotHere(`opa ${opaVersion} is not here; npm run setup brings it`);
  const directory = mkdtempSync(join(tmpdir(), 'edgeward-bench-'));
  try {
    writeFileSync(join(directory, 'policy.rego'), policy);
    const build = [
      'build',
      '--target',
      'wasm',
      '--entrypoint',
      'bench/allow',
      '--output',
      'bundle.tar.gz',
      'policy.rego',
    ];
    const { status, stderr } = found.run(directory, build);
    if (status !== 0) throw new Error(`opa build: ${stderr}`);
    const wasm = fileOfTar(gunzipSync(readFileSync(join(directory, 'bundle.tar.gz'))), '/policy.wasm');
    if (wasm === undefined) throw new Error('opa wrote no /policy.wasm');
    return new Uint8Array(wasm);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** By domain, then by member. */
function rolesDocument({ links }: Corpus): Record<string, Record<string, readonly string[]>> {
  const roles: Record<string, Record<string, readonly string[]>> = {};
  for (const [key, names] of rolesByMember(links)) {
    const [dom = '', member = ''] = key.split(' ');
    (roles[dom] ??= {})[member] = names;
  }
  return roles;
}

/** One segment that is not empty; any rest after a last slash. */
const globOf = (obj: string): string => obj.replace(/\/\*$/, '/**').replaceAll(/:\w+/g, '?*');

function cut({ obj, net, eft }: Rule): object {
  const open = obj.endsWith('/*');
  const [start = '', end = ''] = open ? [obj.slice(0, -1)] : obj.split(/:\w+/);
  return { open, start, end, slashes: obj.split('/').length, length: start.length + end.length, net, eft };
}
