// Makes every step of compiling and changing a Casbin model a place where a fault can strike, without a hook in the
// product: while the engine's modules are loaded, every function and class that they export is wrapped, so that what the
// engine consists of is enumerated and not listed; and every allocation of flat memory, which is what fails when memory
// runs out. Private methods are reached through what they call.
import { registerHooks } from 'node:module';
import type { compileCasbin } from '../../policy/engine/casbin/casbin-model.ts';

export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
}

/** Where to strike: at the n-th step of all, or at the n-th of one name; from 1. */
export interface Strike {
  readonly name?: string;
  readonly occurrence: number;
}

export interface Watched<T> {
  /** Undefined when it ended with the fault, or with `error`. */
  readonly result: T | undefined;
  /** The step that the fault struck. */
  readonly struck: string | undefined;
  /** What was thrown and is no injected fault. */
  readonly error: unknown;
  /** How often each step was passed. */
  readonly passed: ReadonlyMap<string, number>;
  readonly total: number;
}

interface Watch {
  readonly strike: Strike | undefined;
  readonly between: (() => void) | undefined;
  readonly passed: Map<string, number>;
  total: number;
  struck: string | undefined;
}

let watch: Watch | undefined;

/** Runs `work` while steps count; `between` is called at many of them, with no fault and no count meanwhile. */
export function watched<T>(work: () => T, strike?: Strike, between?: () => void): Watched<T> {
  const current: Watch = { strike, between, passed: new Map(), total: 0, struck: undefined };
  let result: T | undefined;
  let error: unknown;
  watch = current;
  watchAllocations();
  try {
    result = work();
  } catch (caught) {
    if (!(caught instanceof InjectedFault)) error = caught;
  } finally {
    watch = undefined;
    releaseAllocations();
  }
  return { result, error, struck: current.struck, passed: current.passed, total: current.total };
}

/** A prime, so that it falls on every kind of step. */
const stepsBetween = 61;

function step(name: string): void {
  const current = watch;
  if (current === undefined) return;
  const count = (current.passed.get(name) ?? 0) + 1;
  current.passed.set(name, count);
  current.total++;
  const { strike } = current;
  if (
    strike !== undefined &&
    (strike.name === undefined ? current.total : strike.name === name ? count : 0) === strike.occurrence
  ) {
    current.struck = name;
    throw new InjectedFault(name);
  }
  if (current.between === undefined || current.total % stepsBetween !== 0) return;
  watch = undefined;
  releaseAllocations();
  try {
    current.between();
  } finally {
    watch = current;
    watchAllocations();
  }
}

type Callable = (this: unknown, ...parameters: unknown[]) => unknown;

function wrapFunction(name: string, original: Callable): Callable {
  const begins = `${name} begins`;
  const ended = `${name} has ended`;
  return function wrapped(this: unknown, ...parameters) {
    if (watch === undefined) return Reflect.apply(original, this, parameters);
    step(begins);
    const result = Reflect.apply(original, this, parameters);
    step(ended);
    return result;
  };
}

function wrapClass(name: string, original: { readonly prototype: object }): void {
  for (const owner of [original.prototype, original]) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (key === 'constructor' || key === 'prototype' || typeof value !== 'function') continue;
      const method = wrapFunction(`${name}.${key}`, value as Callable);
      Object.defineProperty(owner, key, { value: method, writable: true, configurable: true });
    }
  }
}

const flatTypes = ['Uint8Array', 'Uint32Array', 'Float64Array'] as const;
type FlatType = (typeof flatTypes)[number];
const originals = Object.fromEntries(flatTypes.map((name) => [name, globalThis[name]])) as Record<FlatType, object>;
const watchedTypes = Object.fromEntries(
  flatTypes.map((name) => [
    name,
    new Proxy(originals[name] as new (...parameters: unknown[]) => object, {
      construct(target, parameters) {
        step(`new ${name}`);
        return new target(...(parameters as unknown[]));
      },
    }),
  ]),
);

const watchAllocations = (): void => void Object.assign(globalThis, watchedTypes);
const releaseAllocations = (): void => void Object.assign(globalThis, originals);

const room = new URL('../../policy/engine/casbin/', import.meta.url).href;
const bridge = 'edgeward.bench.steps';

/** The engine with its steps wrapped. Has to come before anything else loads the engine. */
export async function loadWrappedEngine(): Promise<{ readonly compileCasbin: typeof compileCasbin }> {
  Object.assign(globalThis, { [bridge]: { wrapFunction, wrapClass } });
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.startsWith(room) || loaded.source == null) return loaded;
      const { source } = loaded;
      const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString('utf8');
      return { ...loaded, source: wrapSource(text) };
    },
  });
  try {
    return await import('../../policy/engine/casbin/casbin-model.ts');
  } finally {
    hooks.deregister();
  }
}

/** The exports of a module become their wrapped selves, for other modules; inside the module nothing changes. */
export function wrapSource(source: string): string {
  const functions: string[] = [];
  const classes: string[] = [];
  const own = source
    .replaceAll(/^export function (\w+)/gm, (_, name: string) => {
      functions.push(name);
      return `function ${name}`;
    })
    .replaceAll(/^export class (\w+)/gm, (text: string, name: string) => {
      classes.push(name);
      return text;
    });
  const call = `globalThis['${bridge}']`;
  return [
    own,
    ...classes.map((name) => `${call}.wrapClass('${name}', ${name});`),
    ...functions.map((name) => `var step$${name} = ${call}.wrapFunction('${name}', ${name});`),
    ...functions.map((name) => `export { step$${name} as ${name} };`),
    '',
  ].join('\n');
}
