// What no snippet that we ship may say, and what each filter has to say: the settings of Envoy that turn a failure into an
// allow, or a question into half of one.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

const folder = join(import.meta.dirname, '../../examples/envoy');
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const http = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const network = 'type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz';

type Fields = Record<string, unknown>;

/** Every object of a document, outermost first. */
function* objectsOf(value: unknown): Generator<Fields> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Fields;
  for (const inner of Object.values(value)) yield* objectsOf(inner);
}

/** Fields by name and the one value they may have; undefined where they may not stand at all. */
const only: Fields = {
  failure_mode_allow: false,
  failure_mode_allow_header_add: undefined,
  allow_partial_message: false,
  filter_enabled: undefined,
  filter_enabled_metadata: undefined,
  deny_at_disable: undefined,
  // Of ExtAuthzPerRoute: no route without the question.
  disabled: undefined,
  clear_route_cache: false,
  validate_mutations: true,
  encode_raw_headers: true,
  include_peer_certificate: true,
  require_client_certificate: true,
  normalize_path: false,
  merge_slashes: false,
  allowed_headers: undefined,
  http_service: undefined,
  trust_chain_verification: undefined,
  allow_expired_certificate: undefined,
};

/** Fields that each kind of object has to name: their defaults are not what we want, or change between versions. */
const required: Readonly<Record<string, readonly string[]>> = {
  [http]: [
    'stat_prefix',
    'failure_mode_allow',
    'include_peer_certificate',
    'encode_raw_headers',
    'validate_mutations',
    'decoder_header_mutation_rules',
  ],
  [network]: ['stat_prefix', 'failure_mode_allow', 'include_peer_certificate', 'bootstrap_metadata_labels_key'],
  'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext': ['require_client_certificate'],
};

function faultsOf(document: unknown): string[] {
  return [...objectsOf(document)].flatMap((fields) => [
    ...Object.keys(fields).flatMap((name) =>
      Object.hasOwn(only, name) && fields[name] !== only[name] ? [`${name}: ${JSON.stringify(fields[name])}`] : [],
    ),
    ...(required[String(fields['@type'])] ?? [])
      .filter((name) => !Object.hasOwn(fields, name))
      .map((name) => `no ${name}`),
    ...('grpc_service' in fields && (fields['grpc_service'] as Fields)['timeout'] === undefined ? ['no timeout'] : []),
    // A cluster with health checks that, without this, asks who is unhealthy.
    ...('health_checks' in fields &&
    ((fields['common_lb_config'] as Fields | undefined)?.['healthy_panic_threshold'] as Fields | undefined)?.[
      'value'
    ] !== 0
      ? ['healthy_panic_threshold is not 0']
      : []),
  ]);
}

/** The file as it is, and with the settings that it has in comments. */
const variantsOf = (text: string): string[] => [text, text.replaceAll(/^( *)# (?=[a-z_-]+: [{\w])/gm, '$1')];

test('no shipped snippet of Envoy turns a failure into an allow, in its comments either', () => {
  assert.ok(names.length >= 5, names.join());
  for (const name of names) {
    for (const variant of variantsOf(readFileSync(join(folder, name), 'utf8'))) {
      assert.deepEqual({ name, faults: faultsOf(parse(variant)) }, { name, faults: [] });
    }
  }
});

test('each snippet asks the enforcer with both kinds of filter somewhere, and never skips it', () => {
  const documents = names.map((name) => parse(readFileSync(join(folder, name), 'utf8')) as unknown);
  const types = documents.flatMap((document) => [...objectsOf(document)].map((fields) => fields['@type']));
  assert.equal(types.filter((type) => type === http).length, 1);
  assert.equal(types.filter((type) => type === network).length, 1);
});

test('the lint sees each fault', () => {
  const good = parse(readFileSync(join(folder, 'http.yaml'), 'utf8')) as unknown;
  const changes: readonly [string, string][] = [
    ['failure_mode_allow: false', 'failure_mode_allow: true'],
    ['failure_mode_allow: false', 'x: false'],
    ['validate_mutations: true', 'filter_enabled: { default_value: { numerator: 100 } }'],
    [
      '# with_request_body: { max_request_bytes: 16384, allow_partial_message: false',
      'with_request_body: { allow_partial_message: true',
    ],
    ['healthy_panic_threshold: { value: 0 }', 'healthy_panic_threshold: { value: 50 }'],
    ['timeout: 0.5s\n                      # An', 'x: 1\n                      # An'],
  ];
  const text = readFileSync(join(folder, 'http.yaml'), 'utf8');
  assert.deepEqual(faultsOf(good), []);
  for (const [from, to] of changes) {
    assert.ok(text.includes(from), from);
    assert.notDeepEqual(faultsOf(parse(text.replace(from, to))), [], to);
  }
});
