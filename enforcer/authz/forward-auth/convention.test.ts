import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTestAuthority } from '../../../test/support/pki.ts';
import { certificatesFromPem } from '../../../identity/index.ts';
import { caddyHeaders } from './caddy.ts';
import { readQuestion } from './convention.ts';
import { nginxHeaders } from './nginx.ts';
import { traefikHeaders } from './traefik.ts';

const { der, chainPem } = createTestAuthority('plant.example').issue('spiffe://plant.example/device/gateway-1');
const [leaf = '', issuer = ''] = certificatesFromPem(chainPem).map((each) => Buffer.from(each).toString('base64'));
const token = 'eyJhbGciOiJFUzI1NiJ9.e30.AAAA';

const conventions = {
  nginx: {
    url: '/nginx?fulfils=custom:badge',
    names: nginxHeaders,
    headers: {
      'x-edgeward-interface': 'hmi-web',
      'x-original-method': 'POST',
      'x-original-uri': '//status;x?y=%2e',
      'x-original-host': 'hmi.plant.example',
      'x-original-scheme': 'https',
      'x-client-verify': 'SUCCESS',
      'x-client-cert': encodeURIComponent(chainPem),
      'x-client-connection': '192.0.2.1:40000',
      'x-client-authorization': `Bearer ${token}`,
    },
  },
  caddy: {
    url: '/caddy?fulfils=custom:forged',
    names: caddyHeaders,
    headers: {
      'x-edgeward-interface': 'hmi-web',
      'x-edgeward-method': 'POST',
      'x-edgeward-uri': '//status;x?y=%2e',
      'x-edgeward-host': 'hmi.plant.example',
      'x-edgeward-scheme': 'https',
      'x-edgeward-connection': '192.0.2.1:40000',
      'x-edgeward-certificate': leaf,
      'x-edgeward-authorization': `Bearer ${token}`,
      'x-edgeward-fulfils': 'custom:badge',
      'x-edgeward-client-connection': 'keep-alive, Upgrade',
    },
  },
  traefik: {
    url: '/traefik/hmi-web?fulfils=custom:badge',
    names: traefikHeaders,
    headers: {
      'x-forwarded-method': 'POST',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'hmi.plant.example',
      'x-forwarded-uri': '//status;x?y=%2e',
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-tls-client-cert': `${leaf},${issuer}`,
      authorization: `Bearer ${token}`,
    },
  },
} as const;
type Name = keyof typeof conventions;
const names = Object.keys(conventions) as Name[];
const linesOf = (headers: Readonly<Record<string, string>>): string[] => Object.entries(headers).flat();

test('every convention says the same of the same request', () => {
  for (const name of names) {
    const { url, headers, names: read } = conventions[name];
    assert.deepEqual(Object.keys(headers).toSorted(), [...read].toSorted(), 'the sample has every header that is read');
    const question = readQuestion({ url, headers: linesOf(headers) });
    const { certificatePem = '', ...peer } = question?.peer ?? {};
    assert.deepEqual(
      { ...question, peer },
      {
        interface: 'hmi-web',
        operation: { protocol: 'http', method: 'POST', path: '//status;x?y=%2e' },
        peer: { bearer: token },
        connection: name === 'traefik' ? '192.0.2.1:0' : '192.0.2.1:40000',
        source: 'forward-auth',
        fulfils: { ids: [], custom: ['badge'] },
      },
      name,
    );
    assert.deepEqual(Buffer.from(certificatesFromPem(certificatePem)[0] ?? []), Buffer.from(der), name);
  }
});

test('a header twice, or beside an alias of it, is no question', () => {
  for (const name of names) {
    const { url, headers } = conventions[name];
    for (const [header, value] of Object.entries(headers)) {
      for (const spelling of [header, header.toUpperCase(), header.replaceAll('-', '_'), header.replace('-', '.')]) {
        for (const second of [value, '']) {
          const lines = [...linesOf(headers), spelling, second];
          assert.equal(readQuestion({ url, headers: lines }), undefined, `${name} ${spelling}`);
        }
      }
    }
  }
});

test('a client that has Caddy drop what it says of the client is ambiguous', () => {
  const { url, headers } = conventions.caddy;
  for (const options of ['X-Edgeward-Subject', 'close,x-edgeward-rule', 'close, Authorization']) {
    const said = { ...headers, 'x-edgeward-client-connection': options };
    assert.match(readQuestion({ url, headers: linesOf(said) })?.ambiguous ?? '', /^Connection/, options);
  }
  const unseen = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.endsWith('client-connection')));
  assert.equal(
    readQuestion({ url, headers: linesOf({ ...unseen, 'x-a': 'x-edgeward-client-connection' }) }),
    undefined,
  );
  const none = { ...unseen, 'X-Edgeward-Client-Connection': '' };
  assert.deepEqual(readQuestion({ url, headers: linesOf(none) }), readQuestion({ url, headers: linesOf(headers) }));
});

test('an alias alone is not read as the header', () => {
  const { url, headers } = conventions.traefik;
  const { 'x-forwarded-tls-client-cert': forged, ...rest } = headers;
  assert.equal(readQuestion({ url, headers: [...linesOf(rest), 'X_Forwarded_Tls_Client_Cert', forged] }), undefined);
  assert.deepEqual(readQuestion({ url, headers: linesOf(rest) })?.peer, { bearer: token });
});

test('what a client adds under any other name says nothing, headers of other conventions included', () => {
  const anyName = fc.oneof(
    fc.constantFrom(...nginxHeaders, ...caddyHeaders, ...traefikHeaders, 'host', 'x-forwarded-client-cert'),
    fc.stringMatching(/^[A-Za-z0-9-]{1,20}$/),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.array(fc.tuple(anyName, fc.string()), { maxLength: 8 }),
      fc.boolean(),
      (name, extra, before) => {
        const { url, headers, names: own } = conventions[name];
        const foreign = extra.filter(([header]) => !(own as readonly string[]).includes(header.toLowerCase())).flat();
        const lines = before ? [...foreign, ...linesOf(headers)] : [...linesOf(headers), ...foreign];
        const { ambiguous: _, ...question } = readQuestion({ url, headers: lines }) ?? { interface: '' };
        assert.deepEqual(question, readQuestion({ url, headers: linesOf(headers) }));
      },
    ),
  );
});

test('any path and any headers are a question with interface, method and target, or none; nothing throws', () => {
  const anyHeader = fc.tuple(
    fc.oneof(fc.constantFrom(...nginxHeaders, ...caddyHeaders, ...traefikHeaders), fc.string()),
    fc.string({ unit: 'binary' }),
  );
  const anyUrl = fc.oneof(
    fc.constantFrom('/', '/nginx', '/caddy', '/caddy?x', '/traefik/hmi', '/traefik/'),
    fc.string(),
  );
  fc.assert(
    fc.property(anyUrl, fc.array(anyHeader, { maxLength: 20 }), (url, headers) => {
      const question = readQuestion({ url, headers: headers.flat() });
      if (question === undefined) return true;
      const { operation } = question;
      return (
        question.interface !== '' && operation.protocol === 'http' && operation.method !== '' && operation.path !== ''
      );
    }),
  );
});

test('only the paths of the shipped configurations are conventions', () => {
  for (const url of [
    '',
    '/caddy/',
    '/nginx/x',
    '/traefik',
    '/traefik/',
    '/traefik/a/b',
    '/Caddy',
    '//caddy',
    'caddy',
  ]) {
    for (const name of names) {
      assert.equal(readQuestion({ url, headers: linesOf(conventions[name].headers) }), undefined, `${url} ${name}`);
    }
  }
});

test('a certificate that nginx did not verify, and the placeholder of Caddy for none, are no evidence', () => {
  const { nginx, caddy } = conventions;
  const unverified = {
    ...nginx.headers,
    'x-client-verify': 'FAILED:certificate revoked',
    'x-client-authorization': '',
  };
  assert.deepEqual(readQuestion({ url: nginx.url, headers: linesOf(unverified) })?.peer, {});
  const placeholder = '{http.request.tls.client.certificate_der_base64}';
  const none = { ...caddy.headers, 'x-edgeward-certificate': placeholder, 'x-edgeward-authorization': '' };
  assert.deepEqual(readQuestion({ url: caddy.url, headers: linesOf(none) })?.peer, {});
});

test('a certificate in another form than its proxy’s is passed on as it came, to be refused', () => {
  const { nginx, caddy, traefik } = conventions;
  const peerOf = ({ url, headers }: { url: string; headers: Readonly<Record<string, string>> }, certificate: object) =>
    readQuestion({ url, headers: linesOf({ ...headers, ...certificate }) })?.peer.certificatePem;
  assert.equal(peerOf(nginx, { 'x-client-cert': '%zz' }), '%zz');
  for (const text of [
    `${leaf} `,
    `${leaf}=`,
    leaf.replaceAll('/', '_').replaceAll('+', '-'),
    `${leaf},${issuer}`,
    'x',
  ]) {
    assert.equal(peerOf(caddy, { 'x-edgeward-certificate': `${text}!` }), `${text}!`);
  }
  assert.equal(peerOf(traefik, { 'x-forwarded-tls-client-cert': `${leaf},,` }), `${leaf},,`);
});

test('what is no one bearer token is none', () => {
  const { url, headers } = conventions.nginx;
  const values = [
    'Basic Zm9v',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer a, Bearer b',
    'Bearer a,b',
    'xBearer a',
    'Bearer  a',
  ];
  for (const value of values) {
    const { peer } = readQuestion({ url, headers: linesOf({ ...headers, 'x-client-authorization': value }) }) ?? {};
    assert.equal(peer?.bearer, undefined, value);
  }
  const lower = linesOf({ ...headers, 'x-client-authorization': 'bearer a.b.c' });
  assert.equal(readQuestion({ url, headers: lower })?.peer.bearer, 'a.b.c');
});

test('of a list of addresses, which others have appended to, none is the client’s', () => {
  const { url, headers } = conventions.traefik;
  const connectionOf = (value: string) =>
    readQuestion({ url, headers: linesOf({ ...headers, 'x-forwarded-for': value }) });
  assert.equal(connectionOf('2001:db8::1')?.connection, '[2001:db8::1]:0');
  for (const value of ['192.0.2.1, 198.51.100.7', '192.0.2.1:80', 'unknown', '']) {
    assert.equal(connectionOf(value)?.connection, '', value);
  }
});
