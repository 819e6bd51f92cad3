// Reads and writes the firewall's golden files: input in YAML above the line, nftables text below.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { sliceSchema } from '../../policy/bundle/index.ts';
import type { HostConfig } from '../../enforcer/firewall/build.ts';
import { compileFirewall } from '../../enforcer/firewall/compile.ts';
import type { FirewallState } from '../../enforcer/firewall/openings.ts';
import type { FirewallPlan } from '../../enforcer/firewall/plan.ts';

const folder = join(import.meta.dirname, '../../enforcer/firewall/testdata');
const line = '\n----\n';

interface Input {
  state: FirewallState;
  host: HostConfig;
  slice?: unknown;
}

export function readGolden(name: string): { input: Input; plan: FirewallPlan; text: string } {
  const [text = '', below = ''] = readFileSync(join(folder, name), 'utf8').split(line);
  const input = parse(text) as Input;
  const slice = input.slice === undefined ? undefined : sliceSchema.parse(input.slice);
  return { input, plan: compileFirewall(slice, input.state, input.host), text: below };
}

export const goldenNames = readdirSync(folder).filter((name) => name.endsWith('.txt'));

export function writeGolden(name: string, below: string): void {
  const path = join(folder, name);
  const [above = ''] = readFileSync(path, 'utf8').split(line);
  writeFileSync(path, `${above.trimEnd()}${line}${below}`);
}
