// Reads a policy repository completely: parse every file, resolve every reference, run every lint rule. Nothing stops
// at the first problem.
import { indexInventory } from '../fleet/inventory-index.ts';
import { checkGivenAttributes } from './given-attributes.ts';
import { lintEngine } from './lint/engine.ts';
import { lint } from './lint/index.ts';
import { collectProblems, isError } from './problems.ts';
import type { Problem, Problems, WaivedProblem } from './problems.ts';
import { readFiles } from './read-files.ts';
import type { Files } from './read-files.ts';
import type { FindRegoCompiler } from './rego/compiler.ts';
import { readRego } from './rego/read-rego.ts';
import { attributePlaces, readAttributes } from './resolve-attributes.ts';
import type { CasbinModel, Repository } from './repository.ts';
import {
  entryAt,
  readDevices,
  readNetworks,
  resolveBreakGlass,
  resolveDenies,
  resolveGrants,
  resolveInterfaces,
  resolveInvariants,
  resolveTests,
  resolveWaivers,
  unique,
  unknown,
} from './resolve.ts';
import type { Resolver } from './resolve.ts';
import { checkOnePerDevice, protectedBlocks, readFeeds, resolveFirewall } from './resolve-firewall.ts';
import type { PolicyTree } from './tree.ts';

export interface Loaded {
  /** Absent when a problem is an error. */
  readonly repository?: Repository;
  /** Errors and warnings, by place. */
  readonly problems: readonly Problem[];
  /** What would stand among them without the repository's waivers. */
  readonly waived: readonly WaivedProblem[];
}

/**
 * `now` in milliseconds since the epoch: end dates are compared with it. Where `findCompiler` finds none, a repository
 * that holds Rego packages is refused; every other one is read as ever.
 */
export function loadRepository(
  tree: PolicyTree,
  now: number,
  findCompiler: FindRegoCompiler = () => undefined,
): Loaded {
  const problems = collectProblems();
  const files = readFiles(tree, problems);
  const repository = resolve(files, problems, findCompiler);
  // Rules over half a repository would blame what is only unread.
  if (repository !== undefined && files.broken.size === 0) {
    lint(repository, problems, now);
    if (!problems.list().some(isError)) lintEngine(repository, problems, now);
  }
  const list = problems.list();
  const waived = problems.waived();
  const broken = repository === undefined || list.some(isError);
  return broken ? { problems: list, waived } : { repository, problems: list, waived };
}

function resolve(files: Files, problems: Problems, findCompiler: FindRegoCompiler): Repository | undefined {
  const devices = unique(readDevices(files), (device) => device.id, 'id', problems);
  const networks = unique(readNetworks(files), (network) => network.name, 'name', problems);
  const index = indexInventory(devices.values());
  const resolver: Resolver = { problems, broken: files.broken, devices, index };
  const casbin = readCasbin(files, problems);
  const attributes = readAttributes(files, problems);
  const rego = readRego(files, problems, findCompiler);
  const models = new Set(casbin.map((model) => model.name));
  const interfaces = unique(
    resolveInterfaces(files, resolver, models, new Set(files.rego.keys())),
    (entry) => entry.name,
    'name',
    problems,
  );
  const grants = unique(resolveGrants(files, resolver, interfaces, attributes), (grant) => grant.id, 'id', problems);
  const denies = unique(resolveDenies(files, resolver, interfaces, attributes), (deny) => deny.id, 'id', problems);
  const breakGlass = unique(resolveBreakGlass(files, resolver, interfaces), (entry) => entry.id, 'id', problems);
  const feeds = readFeeds(files, resolver);
  const { rules, traps, meters, island } = resolveFirewall(files, resolver, feeds);
  // One list of names: all of them stand in the kernel's log.
  const packets = new Set<object>(unique([...rules, ...traps, ...meters], ({ id }) => id, 'id', problems).values());
  const kept = <T extends { readonly id: string }>(list: readonly T[]): T[] =>
    list.filter((entry) => packets.has(entry)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  checkOnePerDevice(island, problems);
  const waivers = unique(resolveWaivers(files, resolver, grants, interfaces), (waiver) => waiver.id, 'id', problems);
  const tests = resolveTests(files, resolver, interfaces);
  for (const test of tests) checkGivenAttributes(test.given.attributes, test.at, files, attributes, resolver);
  const invariants = resolveInvariants(files, resolver, interfaces);
  const root = files.root[0]?.value;
  if (root === undefined) return undefined;
  return {
    trustDomain: root.trustDomain,
    softExpiryMs: root.softExpiry,
    hardExpiryMs: root.hardExpiry,
    networks: [...networks.values()],
    devices: sorted(devices),
    interfaces: sorted(interfaces),
    grants: sorted(grants),
    denies: sorted(denies),
    breakGlass: sorted(breakGlass),
    firewall: kept(rules),
    traps: kept(traps),
    meters: kept(meters),
    island,
    feeds: [...feeds.values()],
    protectedBlocks: protectedBlocks(files),
    casbin,
    rego,
    referenceValues: readReferences(files, resolver),
    detections: readDetections(files, problems),
    playbooks: readPlaybooks(files, problems),
    tests,
    invariants,
    fixtures: files.fixtures,
    waivers: sorted(waivers),
    attributes,
    attributePlaces: attributePlaces(files),
  };
}

/** By id, so that the place of a file in the tree does not change a build. */
function sorted<T>(byId: ReadonlyMap<string, T>): T[] {
  return [...byId].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

function readCasbin(files: Files, problems: Problems): CasbinModel[] {
  const models: CasbinModel[] = [];
  for (const [name, { model, policy }] of files.casbin) {
    const paths = { model: `casbin/${name}/model.conf`, policy: `casbin/${name}/policy.csv` };
    if (!/^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/.test(name)) {
      problems.add(
        'POLICY_FORMAT',
        { file: paths.model },
        `${name} is not an id; expected lower case letters and digits`,
      );
    }
    if (model === undefined)
      problems.add('POLICY_FORMAT', { file: paths.model }, 'the file is missing beside policy.csv');
    if (policy === undefined)
      problems.add('POLICY_FORMAT', { file: paths.policy }, 'the file is missing beside model.conf');
    models.push({ name, model: model ?? '', policy: policy ?? '', files: paths });
  }
  return models.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function readReferences(files: Files, resolver: Resolver): Repository['referenceValues'] {
  const values: Record<string, Record<string, string[]>> = {};
  for (const file of files.reference) {
    for (const [device, executables] of Object.entries(file.value.executables)) {
      if (device !== '*' && !resolver.devices.has(device)) {
        unknown(
          resolver,
          'inventory',
          'device',
          device,
          resolver.devices.keys(),
          file.placeOf(['executables', device]),
        );
      }
      const known = (values[device] ??= {});
      for (const [path, digests] of Object.entries(executables)) {
        if (known[path] !== undefined) {
          const place = file.placeOf(['executables', device, path]);
          resolver.problems.add(
            'POLICY_ID_DUPLICATE',
            place,
            `${path} of ${device} is defined in another file already`,
          );
        }
        known[path] = [...new Set(digests)].sort();
      }
    }
  }
  return values;
}

function readDetections(files: Files, problems: Problems): Repository['detections'] {
  const rules = files.detections.map((file) => ({ id: file.value.id, file, at: entryAt(file) }));
  unique(rules, (rule) => rule.id, 'id', problems);
  return Object.fromEntries(files.detections.map((file) => [fileName(file.path), file.text]));
}

function readPlaybooks(files: Files, problems: Problems): Repository['playbooks'] {
  const playbooks = files.playbooks.map((file) => ({ id: file.value.id, file, at: entryAt(file) }));
  unique(playbooks, (playbook) => playbook.id, 'id', problems);
  for (const file of files.playbooks) {
    if (Object.hasOwn(file.value.workflow, file.value.workflow_start)) continue;
    const place = file.placeOf(['workflow_start']);
    problems.add('POLICY_REFERENCE_UNKNOWN', place, `unknown workflow step ${file.value.workflow_start}`);
  }
  return Object.fromEntries(files.playbooks.map((file) => [fileName(file.path), file.text]));
}

/** Documents are carried under the name of their file. */
function fileName(path: string): string {
  return path.replace(/^.*\//, '');
}
