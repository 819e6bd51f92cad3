// Golden files of whole policies: files of a repository above, what one device gets of them below: the packet part of
// its slice, and the parts of the nftables text that would not be there without firewall/.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatPlace } from '../../runtime/errors.ts';
import type { HostConfig } from '../../enforcer/firewall/build.ts';
import { compileFirewall } from '../../enforcer/firewall/compile.ts';
import type { FirewallPlan } from '../../enforcer/firewall/plan.ts';
import { renderNft } from '../../enforcer/firewall/render.ts';
import { tableOfPlan } from '../../enforcer/firewall/table.ts';
import type { Slice } from '../../policy/bundle/index.ts';
import { buildSlices, loadRepository } from '../../policy/repository/index.ts';
import { sampleFiles, treeOf } from '../../policy/repository/sample-tree.ts';

const folder = join(import.meta.dirname, 'policies');
const line = '\n==== below: slice and nftables\n';
/** Monday 23 November 2026, 12:00 UTC. */
const now = Date.UTC(2026, 10, 23, 12);
const host: HostConfig = {
  localDeviceId: 'plc-1',
  controlEndpoints: [{ address: '10.77.0.1', port: 8443, transport: 'tcp' }],
  proxies: [{ interface: 'plc-modbus', listenPort: 15_502, standbyPort: 25_502 }],
  resolved: { 'updates.example.com': ['198.51.100.7', '2001:db8::7'] },
};

export const policyNames: readonly string[] = readdirSync(folder).filter((name) => name.endsWith('.txt'));

export interface PolicyGolden {
  readonly below: string;
  readonly actual: string;
  /** What nft reads, whole. */
  readonly text: string;
}

/** The device is plc-1 of the sample repository (policy/repository/sample-tree.ts), without its firewall/. */
export function readPolicy(name: string): PolicyGolden {
  const [above = '', below = ''] = readFileSync(join(folder, name), 'utf8').split(line);
  const { 'firewall/cell.yaml': _, ...sample } = sampleFiles;
  const { slice, problems } = sliceOf({ ...sample, ...filesOf(above) });
  const plan = planOf(slice);
  const bare = planOf(sliceOf(sample).slice);
  const actual = [...problems, ...packetPart(slice), '', ...added(blocksOf(bare), blocksOf(plan))].join('\n');
  return { below, actual: `${actual.trimEnd()}\n`, text: textOf(plan) };
}

export function writePolicy(name: string, actual: string): void {
  const path = join(folder, name);
  const [above = ''] = readFileSync(path, 'utf8').split(line);
  writeFileSync(path, `${above.trimEnd()}${line}${actual}`);
}

/** `--- path` begins a file. */
function filesOf(above: string): Record<string, string> {
  const parts = above.split(/^--- (.+)$/m).slice(1);
  const files: Record<string, string> = {};
  for (let index = 0; index < parts.length; index += 2) {
    files[parts[index] ?? ''] = (parts[index + 1] ?? '').replace(/^\n/, '');
  }
  return files;
}

function sliceOf(files: Readonly<Record<string, string>>): { slice: Slice; problems: string[] } {
  const { repository, problems } = loadRepository(treeOf(files), now);
  const shown = problems.map(({ place, rule, message }) => `# ${formatPlace(place)} ${rule}: ${message}`);
  const slice = repository && buildSlices(repository).get(host.localDeviceId);
  if (slice === undefined) throw new Error(shown.join('\n'));
  return { slice, problems: shown };
}

function planOf(slice: Slice): FirewallPlan {
  const states = Object.fromEntries(slice.devices.map(({ id }) => [id, 'trusted' as const]));
  return compileFirewall(slice, { epoch: 1, now, ordersSequence: 0, states }, host);
}

const textOf = (plan: FirewallPlan): string => renderNft(tableOfPlan(plan), plan.compiledAt);

/** Sets, maps and chains with their lines, and elements by the set that they are added to. */
function blocksOf(plan: FirewallPlan): Map<string, string[]> {
  const blocks = new Map<string, string[]>();
  for (const block of textOf(plan).split(/\n\n+|\n(?=\}\n)|(?<=\n)(?=add element )/)) {
    const [head = '', ...lines] = block.replace(/^\n+|\n+$/g, '').split('\n');
    if (/^ *(set|map|chain) /.test(head)) {
      const body = lines.filter((text) => text !== '  }' && text !== '}');
      // Chains are named before they are filled.
      if (body.length > 0) blocks.set(head.trim(), body);
    }
    const [, set, elements = ''] = /^add element inet edgeward (\S+) \{ (.*) \}$/.exec(head) ?? [];
    if (set !== undefined)
      blocks.set(
        `elements of ${set} {`,
        elements.split(/, (?=[0-9a-f:])/).map((text) => `    ${text}`),
      );
  }
  return blocks;
}

/** What the second has more than the first; `…` stands for lines that both have. */
function added(bare: ReadonlyMap<string, string[]>, blocks: ReadonlyMap<string, string[]>): string[] {
  return [...blocks].flatMap(([head, lines]) => {
    const known = bare.get(head) ?? [];
    const fresh = lines.map((text) => (known.includes(text) ? '    …' : text));
    if (fresh.every((text) => text === '    …')) return [];
    return [head, ...fresh.filter((text, index) => text !== '    …' || fresh[index - 1] !== text), '}', ''];
  });
}

/** One line for each rule, trap, meter, workload. */
function packetPart({ firewall, workloads, traps, meters, island }: Slice): string[] {
  return Object.entries({ firewall, workloads, traps, meters, island: island && [island] }).flatMap(([list, entries]) =>
    (entries ?? []).map((entry) => `${list}: ${JSON.stringify(entry)}`),
  );
}
