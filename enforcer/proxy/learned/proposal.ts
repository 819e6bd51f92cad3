// The learned catalogue as files of a policy repository: interfaces and grants that open what was seen and nothing else.
// A proposal: whoever sent it may have been an intruder, so a person reads it before it is published.
import { modbusFunctionName } from '../../../policy/engine/index.ts';
import { formatYaml } from '../../../runtime/yaml.ts';
import type { LearnedInterface, LearnedModbus, LearnedNames, LearnedOperation } from './learned-interface.ts';
import type { Range } from './ranges.ts';

/** Where the interface is served, as the policy in force or the configuration says. */
export interface LearnedPlace {
  readonly device: string;
  readonly port: number;
}

export interface ProposedFile {
  /** In a policy repository. */
  readonly path: string;
  readonly text: string;
}

/** Both empty of an interface at which nothing was seen. `since` and `until` in words. */
export function proposeFiles(
  learned: readonly LearnedInterface[],
  placeOf: (name: string) => LearnedPlace,
  since: string,
  until: string,
): readonly ProposedFile[] {
  const seen = learned.filter(({ operations }) => operations.size > 0);
  if (seen.length === 0) return [];
  const interfaces = seen.map((entry) => interfaceOf(entry, placeOf(entry.name)));
  const grants = seen.flatMap((entry) => grantsOf(entry));
  const messages = seen.reduce((sum, entry) => sum + entry.messages(), 0);
  const heading = [
    `# Learned from ${messages} messages between ${since} and ${until}. A proposal: whatever came in that time is in it,`,
    '# wanted or not. Read it, take away what nobody needs, and give names that say what an operation is for. Grants that write',
    '# over a bare address need a waiver, and every grant a test: edgeward policy lint says where. These interfaces take the place of',
    '# those of the same name that the repository has.',
    ...seen.flatMap((entry) =>
      entry.left() === 0
        ? []
        : [`# ${entry.name}: ${entry.left()} messages of further kinds are left out; there were too many.`],
    ),
    '',
  ].join('\n');
  return [
    { path: 'interfaces/learned.yaml', text: `${heading}${formatYaml({ interfaces })}` },
    { path: 'grants/learned.yaml', text: `${heading}${formatYaml({ grants })}` },
  ];
}

function interfaceOf(entry: LearnedInterface, { device, port }: LearnedPlace): object {
  const [first] = entry.operations.values();
  return {
    name: entry.name,
    device,
    protocol: first?.protocol ?? 'port',
    port,
    operations: Object.fromEntries([...entry.operations.values()].map((one) => [nameOf(one), operationOf(one)])),
  };
}

function grantsOf(entry: LearnedInterface): object[] {
  const bySubject = new Map<string, { subject: string; binding: string; operations: string[] }>();
  for (const operation of entry.operations.values()) {
    for (const [subject, bindings] of operation.subjects) {
      // Nobody is granted anything to nobody.
      if (subject === '') continue;
      for (const binding of bindings) {
        const key = `${subject}/${binding}`;
        const grant = bySubject.get(key) ?? { subject, binding, operations: [] };
        grant.operations.push(nameOf(operation));
        bySubject.set(key, grant);
      }
    }
  }
  return [...bySubject.values()].map(({ subject, binding, operations }) => ({
    id: idOf('learned', subject, entry.name, binding === 'svid' ? '' : binding),
    subjects: [subject],
    interface: entry.name,
    operations,
    binding,
  }));
}

function nameOf(operation: LearnedOperation): string {
  switch (operation.protocol) {
    case 'modbus':
      return idOf(modbusFunctionName(operation.functionCode), `unit-${operation.unit}`);
    case 'tls':
      return 'connect';
    case 'mqtt':
    case 'http':
      return idOf(operation.verb);
  }
}

/** At most 64 lower case letters, digits, dots and dashes. */
function idOf(...parts: readonly string[]): string {
  const text = parts
    .filter((part) => part !== '')
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-');
  return text.slice(0, 64).replace(/[^a-z0-9]+$/, '');
}

const rangeText = ([low, high]: Range): string => (low === high ? `${low}` : `${low}-${high}`);

function operationOf(operation: LearnedOperation): object {
  switch (operation.protocol) {
    case 'modbus':
      return modbusOf(operation);
    case 'mqtt':
      return mqttOf(operation);
    case 'http':
      return {
        methods: [operation.verb],
        paths: operation.names.names().map((levels) => `/${levels.map((level) => level ?? '**').join('/')}`),
      };
    case 'tls':
      return { names: operation.names.names().map(([name]) => name ?? '') };
  }
}

function modbusOf({ functionCode, unit, addresses, values, maxQuantity }: LearnedModbus): object {
  const name = modbusFunctionName(functionCode);
  return {
    functions: [name.startsWith('function-') ? functionCode : name],
    units: [unit],
    addresses: addresses.map(rangeText),
    ...(values === undefined ? {} : { values: rangeText(values) }),
    ...(maxQuantity > 1 ? { maxQuantity } : {}),
  };
}

function mqttOf(operation: LearnedNames): object {
  const { verb, names, maxQos, maxPayloadBytes, retain, will, shares, clientIds } = operation;
  const topics = names.names().map((levels) => levels.map((level) => level ?? '#').join('/'));
  return {
    actions: [verb],
    ...(verb === 'connect' ? {} : { topics }),
    clientIds: [...clientIds].sort(),
    ...(verb === 'connect' ? {} : { maxQos }),
    ...(retain ? { retain } : {}),
    ...(will ? { will } : {}),
    ...(shares.size > 0 ? { shares: [...shares].sort() } : {}),
    ...(verb === 'publish' || verb === 'receive' ? { maxPayloadBytes } : {}),
  };
}
