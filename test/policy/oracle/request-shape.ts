// What a request's fields are, as the matcher and the rules of the lines use them. One field is one thing.
import { type Instance, type Matcher, partsOf, policyLines, type Term } from './language.ts';

export type FieldKind = 'text' | 'number' | 'boolean' | 'attributes';

export interface Shape {
  /** By field; undefined where nothing reads it. */
  readonly kinds: readonly (FieldKind | undefined)[];
  readonly addresses: ReadonlySet<number>;
  /** Some field is used as two things. */
  readonly torn: boolean;
}

export function shapeOf(instance: Instance): Shape {
  const uses = instance.fields.map(() => new Set<FieldKind>());
  const addresses = new Set<number>();
  const use = (term: Term | undefined, kind: FieldKind): void => {
    if (term?.kind !== 'request') return;
    uses[instance.fields.indexOf(term.field)]?.add(term.path === undefined ? kind : 'attributes');
  };
  for (const part of partsInForce(instance)) {
    switch (part.kind) {
      case 'compare': {
        const order = part.operator !== '==' && part.operator !== '!=';
        use(part.left, order ? 'number' : constantKind(part.right));
        use(part.right, order ? 'number' : constantKind(part.left));
        break;
      }
      case 'in':
        for (const term of [part.value, ...part.list]) use(term, 'text');
        break;
      case 'call':
        for (const term of part.values) use(term, 'text');
        if (part.name === 'ipMatch' && part.values[0]?.kind === 'request' && part.values[0].path === undefined) {
          addresses.add(instance.fields.indexOf(part.values[0].field));
        }
        break;
      case 'value':
        use(part.term, 'boolean');
        break;
      case 'and':
      case 'or':
      case 'not':
      case 'eval':
        break;
    }
  }
  return {
    kinds: uses.map((kinds) => [...kinds][0]),
    addresses,
    torn: uses.some((kinds) => kinds.size > 1),
  };
}

const constantKind = (other: Term): FieldKind =>
  other.kind === 'number' || other.kind === 'boolean' ? other.kind : 'text';

/** The matcher's parts, and those of the rules that stand in a column which eval reads. */
export function partsInForce(instance: Instance): readonly Matcher[] {
  const parts = partsOf(instance.matcher);
  const columns = parts.flatMap((part) => (part.kind === 'eval' ? [instance.columns.indexOf(part.column)] : []));
  const texts = new Set(policyLines(instance).flatMap((line) => columns.map((column) => line[column] ?? '')));
  const rules = [...texts].flatMap((text) => instance.rules.get(text) ?? []);
  return [...parts, ...rules.flatMap(partsOf)];
}
