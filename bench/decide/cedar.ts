// The corpus in Cedar, asked through cedar-wasm with the policies parsed beforehand. Said in its own words: roles as
// parents of the principal, named with their domain; the domain as parent of the resource; a path pattern as `like` with
// the number of slashes fixed, so that a wildcard is one segment, and that segment not empty; networks by ip(); denies as
// forbid. The entities of a request are the principal with all its roles and the resource: as small as they can be.
import { createRequire } from 'node:module';
import type * as CedarWasm from '@cedar-policy/cedar-wasm/nodejs';
import { type Contender, contender } from './contender.ts';
import type { Corpus, CorpusRequest, Rule } from './corpus.ts';
import { rolesByMember } from './roles-by-member.ts';

/** CommonJS with WebAssembly inside. */
const load = (): typeof CedarWasm =>
  createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as typeof CedarWasm;

export function cedar(corpus: Corpus): Contender {
  const { preparsePolicySet, statefulIsAuthorized } = load();
  const roles = rolesByMember(corpus.links);
  const preparsedPolicySetId = `corpus-${corpus.rules.length}`;
  const parsed = preparsePolicySet(preparsedPolicySetId, {
    staticPolicies: corpus.rules.map(policyOf).join('\n'),
  });
  if (parsed.type === 'failure') throw new Error(`cedar refuses the corpus: ${parsed.errors[0]?.message}`);
  return contender(
    'policies parsed beforehand; roles closed beforehand, sent with the request as parents; path parameters as like with a fixed number of slashes; denies as forbid',
    (request) => ({ preparsedPolicySetId, ...callOf(request, roles) }),
    (call) => {
      const answer = statefulIsAuthorized(call);
      if (answer.type === 'failure') throw new Error(`cedar: ${answer.errors[0]?.message}`);
      if (answer.response.diagnostics.errors.length > 0) throw new Error('cedar: a policy ended with an error');
      return answer.response.decision === 'allow';
    },
  );
}

function policyOf({ sub, dom, obj, act, net, eft }: Rule): string {
  const principal = sub.startsWith('device-') ? `== Device::"${sub}"` : `in Role::"${dom}/${sub}"`;
  const path = pathCondition(obj);
  return `${eft === 'allow' ? 'permit' : 'forbid'}(principal ${principal}, action == Action::"${act}", resource in Site::"${dom}") when { ${path} && context.ip.isInRange(ip("${net}")) };`;
}

function pathCondition(obj: string): string {
  if (obj.endsWith('/*')) return `resource.path like "${obj}"`;
  const like = obj.replaceAll(/:\w+/g, '*');
  if (like === obj) return `resource.path == "${obj}"`;
  const slashes = obj.split('/').length - 1;
  // One parameter at most in a pattern of the corpus: without it the path would be this one.
  return `resource.slashes == ${slashes} && resource.path like "${like}" && resource.path != "${like.replace('*', '')}"`;
}

function callOf(
  [sub, dom, obj, act, ip]: CorpusRequest,
  roles: ReadonlyMap<string, readonly string[]>,
): Omit<CedarWasm.StatefulAuthorizationCall, 'preparsedPolicySetId'> {
  const principal = { type: 'Device', id: sub };
  const resource = { type: 'Path', id: obj };
  return {
    principal,
    action: { type: 'Action', id: act },
    resource,
    context: { ip: { __extn: { fn: 'ip', arg: ip } } },
    entities: [
      {
        uid: principal,
        attrs: {},
        parents: (roles.get(`${dom} ${sub}`) ?? []).map((role) => ({ type: 'Role', id: `${dom}/${role}` })),
      },
      {
        uid: resource,
        attrs: { path: obj, slashes: obj.split('/').length - 1 },
        parents: [{ type: 'Site', id: dom }],
      },
    ],
  };
}
