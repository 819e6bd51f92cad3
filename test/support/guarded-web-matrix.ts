// What every proxy in front of a workload has to do with what a client may send, whatever the proxy: nothing reaches the workload that
// the engine did not open, and what reaches it carries our identity headers and nobody else's.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { GuardedWeb, Reached } from './guarded-web.ts';

/** Where proxies differ. */
export interface ProxyTraits {
  /** Answer of a proxy whose enforcer is gone, and of one whose enforcer does not answer. */
  readonly gone: number;
  readonly slow: number;
  /** Answer to a certificate of another authority: 400, or 0 for a handshake that fails. */
  readonly stranger: number;
  /** Targets that the proxy answers itself: what it says. All others it asks about as they came. */
  readonly answeredByProxy: Readonly<Record<string, number>>;
  /** Targets that the proxy rewrites before anybody sees them, the workload included. */
  readonly rewritten: Readonly<Record<string, string>>;
  /** Methods that the proxy refuses itself. */
  readonly refusedMethods: readonly string[];
}

const identityNames = new Set([
  'x-edgeward-decision',
  'x-edgeward-obligations',
  'x-edgeward-rule',
  'x-edgeward-subject',
]);

/** Everything that a client could hope one of the conventions, or the workload, reads. */
const forged = [
  'X-Edgeward-Subject: gateway-1',
  'X-EDGEWARD-RULE: grant:forged',
  'X_Edgeward_Subject: gateway-1',
  'X-Edgeward_Subject: gateway-1',
  'X_Edgeward-Decision: allow',
  'X-Edgeward-Interface: hmi-web',
  'X-Edgeward-Method: GET',
  'X-Edgeward-Uri: /status',
  'X-Edgeward-Certificate: forged',
  'X-Edgeward-Fulfils: custom:badge',
  'X-Original-URI: /status',
  'X-Original-Method: GET',
  'X-Client-Verify: SUCCESS',
  'X-Client-Cert: forged',
  'X-Forwarded-Method: GET',
  'X-Forwarded-Uri: /status',
  'X-Forwarded-Host: other',
  'X-Forwarded-For: 198.51.100.7',
  'X-Forwarded-Tls-Client-Cert: forged',
];

const rawTargets = [
  '//status',
  '/status/',
  '/status/../admin',
  '/public/..%2fadmin',
  '/%2e%2e/admin',
  '/status%2e',
  '/status%2F',
  '/status;x=1',
  '/status#fragment',
  '/status%00',
  '/status%23',
  '/a\\status',
  '/status?path=/status#x',
  'http://evil.example/admin',
  '*',
];

export async function runMatrix(t: TestContext, web: GuardedWeb, traits: ProxyTraits): Promise<void> {
  const { asked, reached } = web;
  const certificate = 'gateway-1';
  /** Runs `work` and gives what it made the engine and the workload see. */
  const during = async <T>(work: () => Promise<T>) => {
    const [questions, requests] = [asked.length, reached.length];
    const heard = await work();
    return { heard, asked: asked.slice(questions), reached: reached.slice(requests) };
  };

  await t.test('what is granted reaches the workload as the client sent it, with who the client is', async () => {
    const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate }));
    assert.equal(heard.status, 200);
    assert.match(heard.text, /hmi status/);
    assert.deepEqual([seen.asked[0]?.subject, seen.asked[0]?.interface], ['gateway-1', 'hmi-web']);
    assert.match(seen.asked[0]?.connection ?? '', /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([seen.reached[0]?.method, seen.reached[0]?.url], ['GET', '/status']);
    assertIdentity(seen.reached[0]);
  });

  await t.test('nobody is 401, another path 403, and neither reaches the workload', async () => {
    const { heard, ...seen } = await during(async () => [
      (await web.ask('/status')).status,
      (await web.ask('/admin', { certificate })).status,
    ]);
    assert.deepEqual(heard, [401, 403]);
    assert.equal(seen.reached.length, 0);
  });

  await t.test('a certificate of another authority for the same name opens nothing', async () => {
    const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate: 'stranger' }));
    assert.equal(heard.status, traits.stranger);
    assert.equal(seen.reached.length, 0);
  });

  await t.test('what a client says in headers of ours, of proxies, or in their aliases decides nothing', async () => {
    for (const header of forged) {
      const { heard, ...seen } = await during(async () => [
        (await web.ask('/status', { headers: [header] })).status,
        (await web.ask('/admin?fulfils=custom:badge', { certificate, headers: [header] })).status,
      ]);
      assert.ok(heard[0] === 401 && heard[1] === 403, `${header}: ${heard.join(' ')}`);
      assert.equal(seen.reached.length, 0, header);
      assert.deepEqual(
        seen.asked.map((each) => [each.subject, each.path]),
        [
          ['', '/status'],
          ['gateway-1', '/admin?fulfils=custom:badge'],
        ],
        header,
      );
    }
  });

  await t.test('no identity header of a client reaches the workload, under any spelling', async () => {
    for (const headers of [forged, forged.map((header) => header.toLowerCase()), ...forged.map((header) => [header])]) {
      const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate, headers }));
      // What is ambiguous may be denied; what is not denied is ours.
      if (heard.status === 200) assertIdentity(seen.reached[0]);
      else assert.deepEqual([heard.status, seen.reached.length], [403, 0], headers.join());
    }
    for (const header of forged.filter((each) => /^x.edgeward/i.test(each))) {
      assert.equal(
        (await web.ask('/status', { certificate, headers: [header] })).status,
        200,
        `${header} is dropped, not refused`,
      );
    }
  });

  for (const target of rawTargets) {
    await t.test(`the target ${target} is asked as it is, and opens nothing`, async () => {
      const { heard, ...seen } = await during(async () => await web.ask(target, { certificate }));
      assert.equal(seen.reached.length, 0, `${heard.status}: the workload was reached`);
      const own = traits.answeredByProxy[target];
      assert.equal(heard.status, own ?? 403);
      const expected = traits.rewritten[target] ?? target;
      assert.deepEqual(
        seen.asked.map(({ path }) => path),
        own === undefined ? [expected] : [],
      );
    });
  }

  await t.test('the method is the client’s', async () => {
    for (const method of ['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const body = method === 'POST' ? ['--data', 'x=1'] : [];
      const { heard, ...seen } = await during(
        async () => await web.ask('/status', { certificate, method, curl: body }),
      );
      assert.equal(heard.status, 200, method);
      assert.deepEqual([seen.asked[0]?.method, seen.reached[0]?.method], [method, method]);
    }
    for (const method of ['get', 'GET/', ...traits.refusedMethods]) {
      const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate, method }));
      assert.notEqual(heard.status, 200, method);
      assert.equal(seen.reached.length, 0, method);
    }
  });

  await t.test('a body is for the workload alone, by length or in chunks', async () => {
    for (const headers of [[], ['Transfer-Encoding: chunked']]) {
      const post = { certificate, method: 'POST', headers, curl: ['--data', 'x'.repeat(2_000)] } as const;
      assert.equal((await web.ask('/status', post)).status, 200);
      assert.equal((await web.ask('/admin', post)).status, 403);
    }
  });

  await t.test('a body that waits to be asked for is asked about, and comes', async () => {
    const put = { certificate, method: 'PUT', curl: ['--data-binary', 'x'.repeat(20_000)] } as const;
    const waiting = { ...put, headers: ['Expect: 100-continue'] };
    assert.match((await web.ask('/status', waiting)).text, /^HTTP\/1\.1 200/m);
    assert.match((await web.ask('/admin', waiting)).text, /^HTTP\/1\.1 403/m);
  });

  await t.test('a client cannot have dropped what the workload is told of it', async () => {
    for (const options of ['X-Edgeward-Subject', 'close, x-edgeward-decision', 'Upgrade, X-Edgeward-Rule']) {
      for (const headers of [[`Connection: ${options}`], ['Connection: close', `Connection: ${options}`]]) {
        const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate, headers }));
        if (heard.status === 200) assertIdentity(seen.reached[0]);
        else assert.deepEqual([heard.status, seen.reached.length], [403, 0], headers.join());
      }
    }
  });

  await t.test('a WebSocket is asked about before it is opened', async () => {
    const upgrade = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: eA==',
    ];
    const { heard, ...seen } = await during(async () => [
      (await web.ask('/status', { certificate, headers: upgrade })).status,
      (await web.ask('/admin', { certificate, headers: upgrade })).status,
      (await web.ask('/status', { headers: upgrade })).status,
    ]);
    assert.deepEqual(heard, [101, 403, 401]);
    assert.equal(seen.reached.length, 1);
    assertIdentity(seen.reached[0]);
  });

  await t.test('the one bearer token of a client is shown as it came, and of two none', async () => {
    const { bearers } = web;
    await web.ask('/status', { headers: ['Authorization: Bearer one.two.three'] });
    assert.deepEqual(bearers, ['one.two.three']);
    for (const headers of [
      ['Authorization: Bearer one.two.three', 'Authorization: Bearer four.five.six'],
      ['Authorization: Bearer one.two.three, Bearer four.five.six'],
      ['Authorization: Basic one.two.three'],
      ['X-Client-Authorization: Bearer one.two.three', 'X-Edgeward-Authorization: Bearer one.two.three'],
    ]) {
      await web.ask('/status', { headers });
    }
    assert.equal(bearers.length, 1);
    const { heard, ...seen } = await during(
      async () =>
        await web.ask('/status', {
          certificate,
          headers: ['Authorization: Bearer a.b.c', 'Authorization: Bearer d.e.f'],
        }),
    );
    assert.notEqual(heard.status, 200);
    assert.equal(seen.reached.length, 0);
  });

  await t.test('a host with two spellings is denied', async () => {
    const { heard, ...seen } = await during(
      async () => await web.ask('/status', { certificate, headers: ['Host: hmi.plant.example.'] }),
    );
    assert.notEqual(heard.status, 200);
    assert.equal(seen.reached.length, 0);
  });

  await t.test('large headers are carried or denied, never forgotten', async () => {
    const large = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => `X-Large-${index}: ${'a'.repeat(4_000)}`);
    assert.equal((await web.ask('/status', { certificate, headers: large(3) })).status, 200);
    const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate, headers: large(20) }));
    assert.ok(heard.status === 400 || heard.status === 403, String(heard.status));
    assert.equal(seen.reached.length, 0);
  });

  await t.test('an enforcer that is gone denies, and one that is back allows again', async () => {
    await web.stopEnforcer();
    const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate }));
    assert.deepEqual([heard.status, seen.reached.length], [traits.gone, 0]);
    await web.startEnforcer();
    assert.equal((await web.ask('/status', { certificate })).status, 200);
  });

  await t.test('an enforcer that does not answer denies', async () => {
    web.hang();
    const { heard, ...seen } = await during(async () => await web.ask('/status', { certificate }));
    assert.deepEqual([heard.status, seen.reached.length], [traits.slow, 0]);
  });
}

/** The four of ours with our values, each once, under every name that CGI or its kind would read as one of them (RFC 3875, 4.1.18). */
function assertIdentity(request: Reached | undefined): void {
  const ours = (request?.headers ?? []).filter(([name]) => identityNames.has(name.replaceAll(/[^a-z0-9]/g, '-')));
  const said = ours.filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}`);
  const expected = ['x-edgeward-decision: allow', 'x-edgeward-rule: grant:view', 'x-edgeward-subject: gateway-1'];
  assert.deepEqual(said.toSorted(), expected);
}
