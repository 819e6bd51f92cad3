// What a request field holds. Text, numbers and booleans are compared; attributes are looked into by name.

/** Lists of texts can be carried; no operator looks into them. */
export type CasbinValue = string | number | boolean | readonly string[] | CasbinAttributes;

export interface CasbinAttributes {
  readonly [name: string]: CasbinValue;
}

/** What an expression compares; undefined where it is not known: missing, of another kind, or no plain text. */
export type Scalar = string | number | boolean | undefined;

/** What the matcher takes a field for. One field is one thing. */
export type FieldKind = 'text' | 'number' | 'boolean' | 'attributes';
