// Small fleets in which everything meets everything: few labels, selectors that overlap, repeat, name the unknown.
import * as fc from 'fast-check';
import type { SliceDevice } from '../../bundle/slice.ts';
import type { FleetRule } from '../fleet.ts';
import type { SelectorOrAll } from '../selector.ts';

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
/** Also names that every object has, and values that look like other labels. */
const labels = fc.dictionary(
  fc.constantFrom('site', 'role', 'zone', 'constructor'),
  fc.constantFrom('s1', 's2', 'plc', 'hmi', 'site', 'constructor'),
  { maxKeys: 3 },
);

const withId = (id: fc.Arbitrary<string>): fc.Arbitrary<SliceDevice> =>
  fc.record({
    id,
    labels,
    interfaces: fc
      .constantFrom('10.0.0.1', '10.0.0.2', '2001:db8::1')
      .map((address) => [{ name: 'eth0', network: 'cell', address }]),
  });

export const randomDevices: fc.Arbitrary<SliceDevice[]> = fc.uniqueArray(withId(fc.constantFrom(...ids)), {
  selector: ({ id }) => id,
});

export const randomSelector: fc.Arbitrary<SelectorOrAll> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('all' as const) },
  { weight: 3, arbitrary: fc.array(fc.constantFrom(...ids, 'nobody', 'labels'), { minLength: 1, maxLength: 3 }) },
  { weight: 5, arbitrary: labels.filter((all) => Object.keys(all).length > 0).map((all) => ({ labels: all })) },
);

export const randomRules: fc.Arbitrary<FleetRule[]> = fc
  .array(fc.record({ servers: randomSelector, clients: randomSelector }, { requiredKeys: ['servers'] }), {
    maxLength: 8,
  })
  .map((rules) => rules.map((rule, index) => ({ id: `rule-${index}`, ...rule })));

export type Change = { readonly put: SliceDevice } | { readonly remove: string };

export const randomChange: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: withId(fc.constantFrom(...ids, 'new')).map((put) => ({ put })) },
  { weight: 1, arbitrary: fc.constantFrom(...ids, 'nobody').map((remove) => ({ remove })) },
);
