// Hosts, headers and bodies that stand for all of them: for each bound of the operations something that it surely covers,
// something that it does not, and what nobody knows.
import { splitHost } from '../../bundle/http-bounds.ts';
import type { SliceOperation } from '../../bundle/slice.ts';
import type { Operation } from '../../engine/index.ts';
import { MAX_BOUND_CELLS } from '../../limits.ts';

type HttpOperation = Extract<SliceOperation, { protocol: 'http' }>;
type Bounded = Pick<Extract<Operation, { protocol: 'http' }>, 'host' | 'headers' | 'bodyBytes'>;

/** One that knows nothing where no operation has a bound; undefined where there are more than can be asked. */
export function httpBoundCells(operations: readonly HttpOperation[]): readonly Bounded[] | undefined {
  const axes: Bounded[][] = [hostsOf(operations), ...headerAxes(operations), bodiesOf(operations)];
  if (axes.reduce((cells, axis) => cells * axis.length, 1) > MAX_BOUND_CELLS) return undefined;
  return axes.reduce<readonly Bounded[]>(
    (all, axis) => all.flatMap((one) => axis.map((part) => joined(one, part))),
    [{}],
  );
}

function joined(one: Bounded, part: Bounded): Bounded {
  const headers = { ...one.headers, ...part.headers };
  return { ...one, ...part, ...(Object.keys(headers).length === 0 ? {} : { headers }) };
}

const unlikely = 'nobody-asks.invalid';

/** Of a wildcard a name below it that no other pattern names; beside a port another one. */
function hostsOf(operations: readonly HttpOperation[]): Bounded[] {
  const patterns = [...new Set(operations.flatMap(({ hosts = [] }) => hosts))];
  if (patterns.length === 0) return [{}];
  const hosts = patterns.flatMap((text) => {
    const { name = '', port } = splitHost(text) ?? {};
    const one = name.startsWith('*.') ? `nobody-asks${name.slice(1)}` : name;
    return port === undefined ? [one] : [`${one}:${port}`, `${one}:${port === '1' ? 2 : 1}`];
  });
  return [{}, ...[...new Set([...hosts, unlikely])].map((host) => ({ host }))];
}

function headerAxes(operations: readonly HttpOperation[]): Bounded[][] {
  const wanted = new Map<string, Set<string>>();
  for (const { headers = {} } of operations) {
    for (const [name, values] of Object.entries(headers)) {
      wanted.set(name, new Set([...(wanted.get(name) ?? []), ...values]));
    }
  }
  return [...wanted].map(([name, values]) => [
    {},
    ...[...values, unlikely].map((value): Bounded => ({ headers: { [name]: [value] } })),
  ]);
}

function bodiesOf(operations: readonly HttpOperation[]): Bounded[] {
  const bounds = operations.flatMap(({ maxBodyBytes }) => maxBodyBytes ?? []);
  if (bounds.length === 0) return [{}];
  return [{}, ...[...new Set([0, ...bounds.map((most) => most + 1)])].map((bodyBytes) => ({ bodyBytes }))];
}
