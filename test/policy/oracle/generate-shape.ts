// What a random model is about: slots (a field of the request, or an attribute inside one) with the column of the policy
// that speaks about each, role definitions and the effect.
import type { EffectName, Term } from './language.ts';
import { effectNames } from './operators.ts';
import type { Dialect } from './patterns.ts';
import type { Draw } from './random.ts';

/** Shares of instances whose names and values are exotic, and of those with crowds of lines. */
const EXOTIC = 0.1;
const CROWDED = 0.015;

export interface Slot {
  readonly field: string;
  /** Undefined where the slot is the field itself. */
  readonly path: readonly string[] | undefined;
  readonly kind: 'name' | 'path' | 'action' | 'address' | 'domain' | 'number' | 'boolean';
  readonly column: string;
  readonly dialect: Dialect | 'role' | 'action' | 'domain' | 'none';
}

export interface Names {
  readonly subjects: readonly string[];
  readonly roles: readonly string[];
  readonly domains: readonly string[];
  readonly actions: readonly string[];
}

export interface Shape {
  readonly slots: readonly Slot[];
  readonly columns: readonly string[];
  /** Column with rules for eval. */
  readonly rule: string | undefined;
  readonly roles: ReadonlyMap<string, number>;
  readonly effect: EffectName;
  readonly names: Names;
  /** Many lines about the same few names, so that indexes inside an index are built. */
  readonly crowded: boolean;
}

const plainNames: Names = {
  subjects: ['alice', 'bob', 'carol', 'dave', 'root'],
  roles: ['admin', 'reader', 'writer', 'staff', 'alice', 'ops'],
  domains: ['north', 'south'],
  actions: ['read', 'write', 'delete', 'GET'],
};
/** Names of every object, names that join, names that only look alike. */
const exoticNames: Names = {
  subjects: ['__proto__', 'constructor', 'a,b', 'a', 'b,c', 'é', '💧', '"quoted"', "o'neil", '10', 'x y'],
  roles: ['toString', 'hasOwnProperty', 'b,c', 'c', 'valueOf', 'a', '"role"', '1:a', '# hash'],
  domains: ['__proto__', 'd,e', 'd', 'casbin::default'],
  actions: ['read', 'READ', '(read)', 'null', 'true', 'say ""'],
};

const fieldNames: Readonly<Record<Slot['kind'], readonly string[]>> = {
  name: ['sub', 'user', 'S', '__proto__'],
  path: ['obj', 'path', 'constructor'],
  action: ['act', 'method'],
  address: ['ip', 'addr'],
  domain: ['dom', 'tenant'],
  number: ['level', 'n'],
  boolean: [],
};

const attributePaths: Readonly<Record<Slot['kind'], readonly (readonly string[])[]>> = {
  name: [['name'], ['owner', 'id']],
  path: [['home'], ['toString']],
  action: [['verb']],
  address: [['ip'], ['net', 'peer']],
  domain: [['tenant']],
  number: [['age'], ['length'], ['score', 'risk']],
  boolean: [['admin'], ['admin'], ['flags', 'on'], ['prototypes']],
};

export function drawShape(draw: Draw): Shape {
  const crowded = draw.chance(CROWDED);
  const slots = drawSlots(crowded, draw);
  const effect = draw.pick(effectNames);
  const named = slots.filter(({ dialect }) => dialect !== 'none').map(({ column }) => column);
  const columns = draw.chance(0.8) ? named : draw.shuffled(named);
  const insert = (column: string, end: number): void =>
    void columns.splice(draw.chance(end) ? columns.length : draw.below(columns.length + 1), 0, column);
  if (draw.chance(0.1) || columns.length === 0) insert('note', 0);
  const rule = draw.chance(0.1) ? 'rule' : undefined;
  if (rule !== undefined) insert(rule, 0.5);
  if (effect === 'priority' && draw.chance(0.6)) insert('priority', 0.3);
  if (effect !== 'allow-override' || draw.chance(0.4)) insert('eft', 0.7);
  const roles = new Map<string, number>();
  if (draw.chance(0.75)) roles.set('g', slots.some(({ kind }) => kind === 'domain') && draw.chance(0.8) ? 3 : 2);
  if (roles.size === 1 && draw.chance(0.35)) roles.set('g2', draw.chance(0.8) ? 2 : 3);
  const names = draw.chance(EXOTIC) ? exoticNames : plainNames;
  return { slots, columns, rule, roles, effect, names: crowded ? fewOf(names) : names, crowded };
}

const fewOf = (names: Names): Names => ({
  subjects: names.subjects.slice(0, 2),
  roles: names.roles.slice(0, 1),
  domains: names.domains.slice(0, 1),
  actions: names.actions.slice(0, 1),
});

/** Dialects whose patterns a trie holds; two of them prove nothing by their segments alone. */
const indexed = ['star', 'colon', 'braces', 'named', 'named', 'glob'] as const;

function drawSlots(crowded: boolean, draw: Draw): readonly Slot[] {
  const shares: readonly (readonly [Slot['kind'], number])[] = [
    ['name', 0.8],
    ['path', 0.8],
    ['action', 0.5],
    ['address', 0.2],
    ['domain', 0.3],
    ['number', 0.2],
    ['boolean', 0],
  ];
  // A bare field is never a boolean: nothing could be asked of it.
  const kinds: Slot['kind'][] = shares.filter(([, share]) => draw.chance(share)).map(([kind]) => kind);
  // Without a path beside it a crowd of networks gets an index of its own.
  if (crowded && draw.chance(0.4)) kinds.splice(0, kinds.length, 'name', 'address');
  if (kinds.length === 0) kinds.push(draw.pick(['name', 'path']));
  const slots = draw.shuffled(kinds).map((kind) => {
    const field = draw.pick(fieldNames[kind]);
    const made = slot(field, undefined, kind, draw.chance(0.9) ? field : `${field}_p`, draw);
    return crowded && kind === 'path' ? { ...made, dialect: draw.pick(indexed) } : made;
  });
  if (!draw.chance(crowded ? 0.1 : 0.3)) return slots;
  const entity = draw.pick(['who', 'thing']);
  const attributes = draw
    .shuffled(shares.map(([kind]) => kind))
    .slice(0, draw.between(1, 3))
    .map((kind) => slot(entity, draw.pick(attributePaths[kind]), kind, `${entity}_${kind}`, draw));
  return draw.chance(0.5) ? [...slots, ...attributes] : [...attributes, ...slots];
}

function slot(
  field: string,
  path: readonly string[] | undefined,
  kind: Slot['kind'],
  column: string,
  draw: Draw,
): Slot {
  return { field, path, kind, column, dialect: dialectOf(kind, draw) };
}

function dialectOf(kind: Slot['kind'], draw: Draw): Slot['dialect'] {
  switch (kind) {
    case 'name':
      return draw.chance(0.9) ? 'role' : 'regex';
    case 'path':
      return draw.pick([
        'plain',
        'star',
        'star',
        'colon',
        'colon',
        'braces',
        'braces',
        'named',
        'named',
        'glob',
        'glob',
        'regex',
        'role',
      ]);
    case 'action':
      return draw.chance(0.8) ? 'action' : 'regex';
    case 'address':
      return 'network';
    case 'domain':
      return 'domain';
    case 'number':
      return 'number';
    case 'boolean':
      return 'none';
  }
}

export const requestTerm = ({ field, path }: Slot): Term =>
  path === undefined ? { kind: 'request', field } : { kind: 'request', field, path };

export const columnTerm = ({ column }: Slot): Term => ({ kind: 'policy', column });

export function textTerm(text: string, draw: Draw): Term {
  const quote = text.includes('"') ? "'" : text.includes("'") ? '"' : draw.pick(['"', "'"] as const);
  return { kind: 'text', text, quote };
}
