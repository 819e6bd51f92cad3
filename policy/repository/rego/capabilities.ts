// What a Rego package may call. opa is given these lists as its capabilities, so that a built-in function which the
// engine does not have fails where it is written, when the package is compiled.
import type { Opa } from './opa.ts';

/**
 * Built-ins that opa compiles to WebAssembly itself and that answer there as they do in opa (differential.test.ts). The
 * engine gives a package no function of the host: no clock, no network, no random numbers. Left out as well: deprecated
 * ones (`all`, `any`, `re_match`, `set_diff`, `net.cidr_overlap`), and those that answer otherwise than opa: `format_int`
 * (numbers beyond 20 digits), `indexof` and `replace` (an empty text to look for), `glob.match` (line ends), `json.marshal`
 * (order of members), `json.is_valid`, `base64.decode`, `base64.is_valid`, `base64url.decode`.
 */
export const builtIns = {
  comparison: 'assign eq equal neq lt lte gt gte',
  numbers: 'plus minus mul div rem abs ceil floor round numbers.range to_number',
  bits: 'bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor',
  aggregates: 'count sum product max min sort',
  sets: 'and or minus intersection union internal.member_2 internal.member_3',
  arrays: 'array.concat array.flatten array.reverse array.slice',
  objects: 'object.filter object.get object.keys object.remove object.union object.union_n json.filter json.remove',
  types: 'is_array is_boolean is_null is_number is_object is_set is_string type_name',
  strings:
    'concat contains endswith lower split startswith strings.replace_n strings.reverse substring upper internal.template_string',
  trimming: 'trim trim_left trim_prefix trim_right trim_space trim_suffix',
  patterns: 'regex.find_all_string_submatch_n regex.is_valid regex.match',
  networks: 'net.cidr_contains net.cidr_intersects',
  encoding: 'json.unmarshal base64.encode base64url.encode',
  graphs: 'graph.reachable walk',
} as const;

/** Tests run in opa itself and may use all of the language, but reach nothing outside. */
const refusedInTests: ReadonlySet<string> = new Set(['http.send', 'net.lookup_ip_addr', 'opa.runtime']);

export interface CapabilityFiles {
  /** JSON for `--capabilities`. */
  readonly package: string;
  readonly tests: string;
}

export function capabilityFiles(opa: Opa): CapabilityFiles {
  const current = JSON.parse(opa.run('/', ['capabilities', '--current']).stdout) as { builtins: { name: string }[] };
  const limited = (accepts: (name: string) => boolean): string =>
    JSON.stringify({ ...current, builtins: current.builtins.filter(({ name }) => accepts(name)), allow_net: [] });
  const accepted = new Set(Object.values(builtIns).flatMap((names) => names.split(' ')));
  return { package: limited((name) => accepted.has(name)), tests: limited((name) => !refusedInTests.has(name)) };
}
