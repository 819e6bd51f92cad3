// Traefik by its documented convention: Traefik itself is not installed here, so its requests are replayed as the reference of its
// Headers, PassTLSClientCert and ForwardAuth middlewares describes them, configured by the shipped file.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { type AuthzPorts, serveAuthz } from '../../enforcer/authz/index.ts';
import { noRequestUsage } from '../../enforcer/request-usage.ts';
import { certificatesFromPem, verifyChain } from '../../identity/index.ts';
import { parseYaml } from '../../runtime/yaml.ts';
import { freePort } from '../support/free-ports.ts';
import { createTestAuthority } from '../support/pki.ts';

const file = join(import.meta.dirname, '../../examples/traefik/edgeward.yaml');
const name = z.string();
/** What the shipped file says; a key that is misspelt there is refused here. */
const dynamicConfiguration = z.strictObject({
  http: z.strictObject({
    routers: z.strictObject({
      hmi: z.strictObject({
        rule: name,
        entryPoints: z.array(name),
        middlewares: z.tuple([z.literal('edgeward-strip'), z.literal('edgeward-certificate'), z.literal('edgeward')]),
        service: z.literal('hmi'),
        tls: z.strictObject({ options: z.literal('edgeward') }),
      }),
    }),
    middlewares: z.strictObject({
      'edgeward-strip': z.strictObject({
        headers: z.strictObject({ customRequestHeaders: z.record(name, z.literal('')) }),
      }),
      'edgeward-certificate': z.strictObject({ passTLSClientCert: z.strictObject({ pem: z.literal(true) }) }),
      edgeward: z.strictObject({
        forwardAuth: z.strictObject({
          address: z.url(),
          trustForwardHeader: z.literal(false),
          authRequestHeaders: z.array(name),
          authResponseHeaders: z.array(name),
        }),
      }),
    }),
    services: z.strictObject({
      hmi: z.strictObject({ loadBalancer: z.strictObject({ servers: z.array(z.strictObject({ url: z.url() })) }) }),
    }),
  }),
  tls: z.strictObject({
    options: z.strictObject({
      edgeward: z.strictObject({
        clientAuth: z.strictObject({
          caFiles: z.array(name),
          clientAuthType: z.literal('RequireAndVerifyClientCert'),
        }),
      }),
    }),
  }),
});
const { middlewares } = parseYaml(readFileSync(file, 'utf8'), file, dynamicConfiguration).http;
const { forwardAuth } = middlewares.edgeward;

type Headers = Map<string, string>;

interface Client {
  readonly method?: string;
  /** Raw target. */
  readonly target: string;
  readonly chainPem: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The client's headers after `edgeward-strip` and `edgeward-certificate`. */
function passedOn({ chainPem, headers = {} }: Client): Headers {
  const removed = Object.keys(middlewares['edgeward-strip'].headers.customRequestHeaders).map((each) =>
    each.toLowerCase(),
  );
  const kept = new Map(Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]));
  for (const each of removed) kept.delete(each);
  // "Removes the delimiters and newlines of each certificate, and joins them with commas."
  if (chainPem === '') return kept;
  const ders = certificatesFromPem(chainPem).map((der) => Buffer.from(der).toString('base64'));
  return kept.set('x-forwarded-tls-client-cert', ders.join(','));
}

/** What ForwardAuth asks for a request: a GET of its address, the allowed headers, and its own X-Forwarded-*. */
async function ask(port: number, client: Client): Promise<{ status: number; workload: Headers }> {
  const incoming = passedOn(client);
  const address = new URL(forwardAuth.address);
  const allowed = forwardAuth.authRequestHeaders
    .map((each) => each.toLowerCase())
    .flatMap((each): [string, string][] => (incoming.has(each) ? [[each, incoming.get(each) ?? '']] : []));
  const headers = {
    ...Object.fromEntries(allowed),
    'X-Forwarded-For': '192.0.2.7',
    'X-Forwarded-Method': client.method ?? 'GET',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'hmi.plant.example',
    'X-Forwarded-Uri': client.target,
    'User-Agent': 'Go-http-client/1.1',
    'Accept-Encoding': 'gzip',
  };
  const path = address.pathname + address.search;
  const [response] = (await once(httpRequest({ host: '127.0.0.1', port, path, headers }).end(), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  // "Headers to copy from the authentication server response and set on forwarded request, replacing any existing".
  for (const each of forwardAuth.authResponseHeaders.map((header) => header.toLowerCase())) {
    incoming.delete(each);
    const given = response.headers[each];
    if (given !== undefined) incoming.set(each, String(given));
  }
  return { status: response.statusCode ?? 0, workload: incoming };
}

test('Traefik as documented, with the shipped configuration', async (t) => {
  const authority = createTestAuthority('plant.example');
  const seen: unknown[] = [];
  const ports: AuthzPorts = {
    decide: ({ subject, resource, operation, context }) => {
      seen.push([subject.id, resource.interface, operation, context.connection]);
      const allow = subject.id === 'gateway-1' && operation.protocol === 'http' && operation.path === '/status';
      const reason = allow ? 'granted' : 'no-grant';
      return { allow, reason, rule: allow ? 'grant:view' : '', place: '', operation: '', bundle: '' };
    },
    usage: () => noRequestUsage,
    identify: ({ certificatePem = '' }) => {
      const [leaf = Buffer.alloc(0), ...sent] = certificatesFromPem(certificatePem);
      const options = { now: Date.now(), trustDomain: 'plant.example' };
      const { id } = verifyChain(leaf, sent, [authority.root], options);
      return { id: id.name, binding: 'svid', state: 'trusted', attributes: {} };
    },
    log: { note: () => undefined, keep: () => Promise.resolve() },
    auditDurable: () => false,
    now: () => Date.now(),
  };
  const port = await freePort();
  const forwardAuthTcp = `127.0.0.1:${port}`;
  const server = await serveAuthz(ports, () => true, { grpc: [], forwardAuthSocket: undefined, forwardAuthTcp });
  t.after(async () => await server.close(0));
  const { chainPem } = authority.issue('spiffe://plant.example/device/gateway-1');
  const identityOf = (workload: Headers): Record<string, string> =>
    Object.fromEntries([...workload].filter(([key]) => /edgeward/i.test(key)));

  await t.test('what is granted is allowed with who the client is', async () => {
    const { status, workload } = await ask(port, { target: '/status', chainPem });
    assert.equal(status, 200);
    assert.deepEqual(seen.at(-1), [
      'gateway-1',
      'hmi-web',
      { protocol: 'http', method: 'GET', path: '/status' },
      '192.0.2.7:0',
    ]);
    assert.deepEqual(identityOf(workload), {
      'x-edgeward-subject': 'gateway-1',
      'x-edgeward-decision': 'allow',
      'x-edgeward-rule': 'grant:view',
      'x-edgeward-obligations': '',
    });
  });

  await t.test('method and target are asked as Traefik saw them', async () => {
    const { status } = await ask(port, { target: '//status/..;x?a=%2e', method: 'DELETE', chainPem });
    assert.equal(status, 403);
    assert.deepEqual((seen.at(-1) as unknown[])[2], {
      protocol: 'http',
      method: 'DELETE',
      path: '//status/..;x?a=%2e',
    });
  });

  await t.test('a certificate of another authority is nobody, and so is none', async () => {
    const stranger = createTestAuthority('plant.example').issue('spiffe://plant.example/device/gateway-1');
    assert.equal((await ask(port, { target: '/status', chainPem: stranger.chainPem })).status, 401);
    assert.equal((await ask(port, { target: '/status', chainPem: '' })).status, 401);
  });

  await t.test('what a client says of itself decides nothing and reaches nobody, under any spelling', async () => {
    const names = forwardAuth.authResponseHeaders.flatMap((header) => {
      const [first = '', second = '', third = ''] = header.split('-');
      return ['-', '_'].flatMap((one) => ['-', '_'].map((two) => first + one + second + two + third));
    });
    const certificate = certificatesFromPem(chainPem).map((der) => Buffer.from(der).toString('base64'));
    const headers = {
      ...Object.fromEntries(names.map((each) => [each, 'forged'])),
      'X-Edgeward-Interface': 'other',
      'X-Forwarded-Uri': '/status',
      'X-Forwarded-Method': 'GET',
      'X-Forwarded-Tls-Client-Cert': certificate.join(','),
      'X-Client-Verify': 'SUCCESS',
    };
    const { status, workload } = await ask(port, { target: '/status', chainPem, headers });
    assert.equal(status, 200);
    assert.ok(![...workload.values()].includes('forged'), JSON.stringify([...workload]));
    assert.equal((await ask(port, { target: '/admin', chainPem, headers })).status, 403);
    assert.deepEqual((seen.at(-1) as unknown[])[0], 'gateway-1');
  });
});

test('forward-auth on TCP is for this host only', async () => {
  const ports = {} as AuthzPorts;
  const endpoints = { grpc: [], forwardAuthSocket: undefined, forwardAuthTcp: '0.0.0.0:9192' };
  await assert.rejects(
    serveAuthz(ports, () => true, endpoints),
    { code: 'AUTHZ_ADDRESS_REMOTE' },
  );
});
