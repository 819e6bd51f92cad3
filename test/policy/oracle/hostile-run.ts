// Runs in a process of its own, which a watchdog may kill: node test/policy/oracle/hostile-run.ts <seed> <count>
// Says before each input which one it is, and at the end what went wrong, as JSON lines.
import { compileCasbin } from '../../../policy/engine/casbin/casbin-model.ts';
import type { CasbinValue } from '../../../policy/engine/casbin/value.ts';
import { CodedError } from '../../../runtime/errors.ts';
import { type Hostile, hostile } from './hostile.ts';

export type HostileReport =
  | { readonly at: string }
  | {
      readonly compiled: number;
      readonly refused: number;
      readonly allowed: number;
      readonly problems: readonly string[];
    };

const [seed = 1, count = 1] = process.argv.slice(2).map(Number);
const say = (report: HostileReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`);
const problems: string[] = [];
const counts = { compiled: 0, refused: 0, allowed: 0 };

for (let index = 0; index < count; index++) {
  const input = hostile(seed, index);
  say({ at: `${index} ${input.name}` });
  const enforce = compile(input);
  if (enforce === undefined) continue;
  for (const [at, request] of input.requests.entries()) {
    try {
      if (enforce(request as readonly CasbinValue[]).allow) counts.allowed++;
    } catch (error) {
      problems.push(`${input.name}, request ${at}: ${String(error)}`);
    }
  }
}
say({ ...counts, problems });

function compile({ name, model, policy }: Hostile): ReturnType<typeof compileCasbin>['enforce'] | undefined {
  try {
    const { enforce } = compileCasbin({ model, policy, modelFile: 'model.conf', policyFile: 'policy.csv' });
    counts.compiled++;
    return enforce;
  } catch (error) {
    counts.refused++;
    const place = error instanceof CodedError ? error.place : undefined;
    const placed = place !== undefined && (place.line ?? 0) >= 1;
    if (!(error instanceof CodedError)) problems.push(`${name}: ${String(error)}`);
    // Roles are judged as a whole.
    else if (!placed && error.code !== 'ENGINE_CASBIN_TOO_LARGE') problems.push(`${name}: no place: ${error.message}`);
    else if (error.message.length > 20_000) problems.push(`${name}: a message of ${error.message.length} characters`);
    return undefined;
  }
}
