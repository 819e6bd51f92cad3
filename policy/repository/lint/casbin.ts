// Casbin models and policies go through the engine's own strict compiler: what an edge would refuse, or the reference
// implementation would take for more than was written, is a problem before it is published.
import { CodedError } from '../../../runtime/errors.ts';
import { compileCasbin } from '../../engine/casbin/casbin-model.ts';
import { parseModelFile } from '../../engine/casbin/model-file.ts';
import { parsePolicyFile } from '../../engine/casbin/policy-file.ts';
import type { Problems } from '../problems.ts';
import type { CasbinModel, Repository } from '../repository.ts';

export function lintCasbin(repository: Repository, problems: Problems): void {
  const used = new Set(repository.interfaces.map((entry) => entry.casbin));
  for (const model of repository.casbin) {
    lintModel(model, problems);
    if (used.has(model.name)) continue;
    problems.add('POLICY_CASBIN_UNUSED', { file: model.files.model }, `no interface says casbin: ${model.name}`);
  }
}

function lintModel({ model, policy, files }: CasbinModel, problems: Problems): void {
  try {
    compileCasbin({ model, policy, modelFile: files.model, policyFile: files.policy });
    const { lines } = parsePolicyFile(policy, files.policy, parseModelFile(model, files.model));
    if (lines.length > 0) return;
    // The reference answers allow to an empty request over an empty policy; an empty policy is never meant.
    problems.add('POLICY_CASBIN', { file: files.policy }, 'the policy has no p line');
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    problems.add('POLICY_CASBIN', error.place ?? { file: files.model }, error.message);
  }
}
