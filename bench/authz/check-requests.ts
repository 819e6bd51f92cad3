// Accesses as the CheckRequests that Envoy makes of them (the shipped configuration: include_peer_certificate,
// encode_raw_headers): twelve headers, addresses, principal, certificate as URL-encoded PEM, each with ids, ports and times of
// its own.
import { create, toBinary } from '@bufbuild/protobuf';
import { certificatesToPem } from '../../identity/index.ts';
import { CheckRequestSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { seededRandom } from '../../store/simulated-files.ts';
import type { TestAuthority } from '../../test/support/pki.ts';
import { type Access, edgeDevice, trustDomain } from './policy.ts';

/** What Envoy says of its peer. */
export type Evidence = 'principal' | 'certificate';

export const uriOf = (device: string): string => `spiffe://${trustDomain}/device/${device}`;

const devicePattern = new RegExp(`^spiffe://${trustDomain.replaceAll('.', '\\.')}/device/([a-z0-9-]+)$`);

/** The device of a name that is believed: what the bench's server for requests without certificate does. */
export const deviceOf = (principal: string): string => devicePattern.exec(principal)?.[1] ?? '';

/** As Envoy's Utility::urlEncodePem... does it: these five characters and no others. */
const envoyEscapes: Readonly<Record<string, string>> = { '\n': '%0A', ' ': '%20', '+': '%2B', '/': '%2F', '=': '%3D' };
export const urlEncodedPem = (der: Uint8Array): string =>
  certificatesToPem([der]).replaceAll(/[\n +/=]/g, (character) => envoyEscapes[character] ?? character);

/** One certificate for each device that the accesses name. */
export function certificatesOf(accesses: readonly Access[], authority: TestAuthority): ReadonlyMap<string, string> {
  const devices = new Set(accesses.map(({ device }) => device));
  return new Map([...devices].map((device) => [device, urlEncodedPem(authority.issue(uriOf(device)).der)]));
}

const agents = [
  'historian/4.2 (linux; x86_64)',
  'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'line-controller/1.19.3',
  'python-requests/2.32.3',
];

export function checkRequests(
  accesses: readonly Access[],
  certificates: ReadonlyMap<string, string>,
  evidence: Evidence,
  now: number,
): Uint8Array[] {
  const random = seededRandom(20_261_124);
  const below = (limit: number): number => Math.floor(random() * limit);
  const hex = (digits: number): string => Array.from({ length: digits }, () => below(16).toString(16)).join('');
  return accesses.map((access, index) => {
    const { device, interface: name, method, path } = access;
    const id = `${String(below(10 ** 8)).padStart(8, '0')}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
    const host = `${name}.${edgeDevice}.${trustDomain}`;
    const headers = Object.entries({
      ':authority': host,
      ':method': method,
      ':path': path,
      ':scheme': 'https',
      accept: 'application/json, text/plain;q=0.9, */*;q=0.1',
      'accept-encoding': 'gzip, br',
      'accept-language': 'en-GB,en;q=0.7',
      traceparent: `00-${hex(32)}-${hex(16)}-01`,
      'user-agent': agents[index % agents.length] ?? '',
      'x-correlation-id': hex(24),
      'x-forwarded-proto': 'https',
      'x-request-id': id,
    }).map(([key, value]) => ({ key, rawValue: Buffer.from(value) }));
    const seconds = BigInt(Math.trunc(now / 1_000));
    return toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, {
        attributes: {
          source: {
            address: socketAddress(`10.${below(200)}.${below(256)}.${1 + below(254)}`, 1_024 + below(60_000)),
            principal: uriOf(device),
            ...(evidence === 'certificate' ? { certificate: certificates.get(device) ?? '' } : {}),
          },
          destination: { address: socketAddress('10.77.0.12', 8_443), principal: uriOf(edgeDevice) },
          request: {
            time: { seconds, nanos: below(1_000_000) * 1_000 },
            http: {
              id: String(below(2 ** 48)),
              method,
              headerMap: { headers },
              path,
              host,
              scheme: 'https',
              protocol: 'HTTP/2',
            },
          },
          contextExtensions: { 'edgeward-interface': name },
          metadataContext: {},
          routeMetadataContext: {},
        },
      }),
    );
  });
}

/** Where eight digits stand that decide nothing: in the request id, and in paths of the web interfaces, twice each. */
export function marksOf(request: Uint8Array, { path }: Pick<Access, 'path'>): number[] {
  const text = Buffer.from(request).toString('latin1');
  const found: number[] = [];
  const id = /(?<=x-request-id..)\d{8}(?=-)/s.exec(text);
  if (id === null) throw new Error('a request without its id');
  found.push(id.index);
  const number = /\/(?:cell|tank)\/(\d{8})(?=\/status|\?|$)/.exec(path)?.[1];
  if (number === undefined) return found;
  for (let at = text.indexOf(number); at !== -1; at = text.indexOf(number, at + 1)) found.push(at);
  return found;
}

const socketAddress = (address: string, port: number) => ({
  address: {
    case: 'socketAddress' as const,
    value: { address, portSpecifier: { case: 'portValue' as const, value: port } },
  },
});
