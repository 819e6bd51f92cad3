/** All combinations of the values of each key; the last key varies fastest. */
export function product<T extends object>(values: { readonly [K in keyof T]: readonly T[K][] }): T[] {
  let all: Partial<T>[] = [{}];
  for (const key of Object.keys(values) as (keyof T)[]) {
    all = all.flatMap((part) => values[key].map((value) => ({ ...part, [key]: value })));
  }
  return all as T[];
}
