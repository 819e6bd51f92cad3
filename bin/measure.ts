// Reference values of an installation, as its own evidence will report them: for the policy repository.
import { PROGRAM } from '../attest/cloud/index.ts';
import { measureAside } from '../attest/edge/index.ts';
import { loadEdgeConfig } from './edge/config.ts';
import { programRoots } from './edge/program.ts';

export async function measureReferenceValues(configFile: string): Promise<Record<string, string[]>> {
  const config = await loadEdgeConfig(configFile);
  const { program, executables } = await measureAside({
    program: programRoots,
    executables: config.attest.executables,
  });
  return {
    [PROGRAM]: [program],
    ...Object.fromEntries(Object.entries(executables).map(([path, digest]) => [path, [digest]])),
  };
}
