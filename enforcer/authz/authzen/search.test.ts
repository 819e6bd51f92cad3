import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as random from '../../../policy/engine/testing/random-policy.ts';
import { sampleSlice, type LooseSlice } from '../../../policy/engine/testing/sample-slice.ts';
import { decisionPoint, type Point } from '../../../test/support/authzen.ts';
import { evaluation } from './evaluate.ts';
import type { SearchKind } from './messages.ts';
import { type ResultBody, search, type SearchBody } from './search.ts';

const options = { asserts: ['subject.site', 'context.load', 'resource.lines'], custom: [] };
const device = (id: string) => ({ type: 'device', id });
const anyDevice = { type: 'device' };
const web = { type: 'interface', id: 'web' };

async function page(point: Point, kind: SearchKind, message: object): Promise<SearchBody> {
  const outcome = await search(point.ports, options, kind, message);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.body;
}

async function refused(point: Point, kind: SearchKind, message: object): Promise<string> {
  const outcome = await search(point.ports, options, kind, message);
  assert.ok(!outcome.ok, JSON.stringify(outcome));
  assert.equal(outcome.status, 400);
  return outcome.fault;
}

const found = ({ results }: Pick<SearchBody, 'results'>): string[] =>
  results.map((result) => ('name' in result ? result.name : result.id));

/** All pages of a search. */
async function all(point: Point, kind: SearchKind, message: object, limit?: number): Promise<ResultBody[]> {
  const results: ResultBody[] = [];
  let token = '';
  do {
    const asked = { ...(limit === undefined ? {} : { limit }), ...(token === '' ? {} : { token }) };
    const body = await page(point, kind, { ...message, page: asked });
    assert.equal(body.page.count, body.results.length);
    assert.ok(limit === undefined || body.results.length <= limit);
    results.push(...body.results);
    token = body.page.next_token;
  } while (token !== '');
  return results;
}

test('who may, on what, and what', async () => {
  const point = decisionPoint(sampleSlice());
  const status = { action: { name: 'status' }, resource: web };
  assert.deepEqual(found(await page(point, 'subject', { subject: anyDevice, ...status })), ['gateway-1']);
  assert.deepEqual(
    found(await page(point, 'subject', { subject: { ...anyDevice, id: 'station-1' }, ...status })),
    ['gateway-1'],
    'an id in a subject search is ignored',
  );
  const http = { action: { name: 'GET', properties: { path: '/files/a' } }, resource: web };
  assert.deepEqual(found(await page(point, 'subject', { subject: anyDevice, ...http })), ['gateway-1']);
  assert.deepEqual(await page(point, 'action', { subject: device('gateway-1'), resource: web }), {
    page: { next_token: '', count: 2 },
    results: [{ name: 'status' }, { name: 'stop' }],
  });
  const everywhere = { subject: device('gateway-1'), resource: { type: 'interface', id: 'ignored' } };
  const properties = { device: 'plc-1' };
  const trial = { type: 'interface', id: 'trial', properties };
  assert.deepEqual((await page(point, 'resource', { ...everywhere, action: { name: 'status' } })).results, [
    // In observe mode, which lets everything through.
    trial,
    { type: 'interface', id: 'web', properties },
  ]);
  const { results } = await page(point, 'resource', {
    ...everywhere,
    action: { name: 'GET', properties: { path: '/x' } },
  });
  assert.deepEqual(results, [trial]);
});

test('what nobody knows has no results', async () => {
  const point = decisionPoint(sampleSlice(({ interfaces }) => void interfaces.pop()));
  const empty = { page: { next_token: '', count: 0 }, results: [] };
  const action = { name: 'status' };
  for (const [kind, message] of [
    ['subject', { subject: { type: 'spaceship' }, action, resource: web }],
    ['subject', { subject: anyDevice, action, resource: { type: 'interface', id: 'nowhere' } }],
    ['resource', { subject: device('nobody'), action, resource: { type: 'record' } }],
    ['resource', { subject: device('nobody'), action: { name: 'nothing' }, resource: { type: 'interface' } }],
    ['action', { subject: device('nobody'), resource: web }],
  ] as const) {
    assert.deepEqual(await page(point, kind, message), empty, JSON.stringify(message));
  }
  const none = decisionPoint(sampleSlice(), { inForce: () => undefined });
  assert.deepEqual(await page(none, 'subject', { subject: anyDevice, action, resource: web }), empty);
});

test('a search asks for what the specification requires', async () => {
  const point = decisionPoint(sampleSlice());
  const action = { name: 'status' };
  assert.match(await refused(point, 'subject', { subject: anyDevice, resource: web }), /^action: /);
  assert.match(
    await refused(point, 'subject', { subject: anyDevice, action, resource: { type: 'interface' } }),
    /^resource.id: /,
  );
  assert.match(await refused(point, 'resource', { subject: anyDevice, action, resource: web }), /^subject.id: /);
  assert.match(await refused(point, 'action', { subject: device('gateway-1') }), /^resource: /);
  for (const wrong of [{ limit: -1 }, { limit: 1.5 }, { limit: '1' }, { token: 7 }, 7]) {
    assert.match(await refused(point, 'action', { subject: device('a'), resource: web, page: wrong }), /^page/);
  }
});

const crowd = (count: number) =>
  sampleSlice(({ grants }: LooseSlice) => {
    grants[3] = {
      ...grants[3],
      subjects: Array.from({ length: count }, (_, at) => `device-${String(at).padStart(4, '0')}`),
    };
  });
const crowded = { subject: anyDevice, action: { name: 'status' }, resource: web };

test('pages are of one policy and one search', async () => {
  const point = decisionPoint(crowd(7));
  const first = await page(point, 'subject', { ...crowded, page: { limit: 3 } });
  assert.deepEqual(found(first), ['device-0000', 'device-0001', 'device-0002']);
  const token = first.page.next_token;
  // The limit of the first request holds, as in the specification's example.
  const second = await page(point, 'subject', { ...crowded, page: { token } });
  assert.deepEqual(found(second), ['device-0003', 'device-0004', 'device-0005']);
  assert.deepEqual(
    second,
    await page(point, 'subject', { ...crowded, page: { token, limit: 3 } }),
    'a page can be asked again',
  );
  const last = await page(point, 'subject', { ...crowded, page: { token: second.page.next_token } });
  assert.deepEqual([found(last), last.page.next_token], [['device-0006'], '']);

  const other = 'page: not of this policy and this search; start again without a token';
  for (const changed of [
    { ...crowded, page: { token, limit: 4 } },
    { ...crowded, action: { name: 'stop' }, page: { token } },
    { ...crowded, context: { load: 1 }, page: { token } },
    { ...crowded, page: { token: `${token}x` } },
    { ...crowded, page: { token: `eyJuZXh0IjowfQ.${token.split('.')[1] ?? ''}` } },
    { ...crowded, page: { token: 'nonsense' } },
  ]) {
    assert.equal(await refused(point, 'subject', changed), other, JSON.stringify(changed));
  }
  assert.equal(await refused(point, 'resource', { ...crowded, subject: device('a'), page: { token } }), other);
  point.use(crowd(8), 'cd'.repeat(32));
  assert.equal(await refused(point, 'subject', { ...crowded, page: { token } }), other, 'of an older bundle');
});

test('a page ends after a bounded number of decisions, results or not', async () => {
  const point = decisionPoint(crowd(1_100));
  for (let at = 0; at < 1_099; at++) point.states.set(`device-${String(at).padStart(4, '0')}`, 'revoked');
  const first = await page(point, 'subject', crowded);
  assert.equal(first.results.length, 0);
  assert.notEqual(first.page.next_token, '');
  assert.deepEqual(found({ results: await all(point, 'subject', crowded) }), ['device-1099']);
  const none = await page(point, 'subject', { ...crowded, page: { limit: 0 } });
  assert.deepEqual([none.results.length, none.page.next_token === ''], [0, false]);
});

test('another bundle in the middle of a page is told', async () => {
  const point = decisionPoint(crowd(3));
  const { identify } = point.ports;
  let asked = 0;
  const ports = {
    ...point.ports,
    identify: (peer: Parameters<typeof identify>[0]) => {
      if (++asked === 2) point.use(crowd(4), 'cd'.repeat(32));
      return identify(peer);
    },
  };
  assert.equal(
    await refused({ ...point, ports }, 'subject', crowded),
    'page: the policy changed; start again without a token',
  );
});

test('a search takes no use and is one event, whatever it finds', async () => {
  const point = decisionPoint(sampleSlice(({ grants }) => void (grants[3] = { ...grants[3], uses: 1 })));
  await page(point, 'action', { subject: device('gateway-1'), resource: web });
  await page(point, 'action', { subject: device('gateway-1'), resource: web });
  assert.equal(point.taken(), 0);
  assert.deepEqual(
    point.events.map(({ activity, data }) => [activity, data.subject, data.interface, data.count]),
    [
      ['search', 'gateway-1', 'web', 2],
      ['search', 'gateway-1', 'web', 2],
    ],
  );
  const status = { subject: device('gateway-1'), action: { name: 'status' }, resource: web };
  await evaluation(point.ports, options, status);
  assert.equal(point.taken(), 1);
  const after = await page(point, 'action', { subject: device('gateway-1'), resource: web });
  assert.deepEqual(found(after), [], 'what is used up is found no more');
});

test('what people opened by break-glass is found while it is open', async () => {
  const profile = {
    id: 'restart',
    subjects: ['station-1'],
    interface: 'web',
    device: 'plc-1',
    operations: ['stop'],
    binding: 'svid',
    approvers: ['a', 'b'].map((name) => ({
      name,
      jwk: { kty: 'EC', crv: 'P-256', x: name.repeat(43), y: name.repeat(43) },
    })),
    approvals: 2,
    maxMinutes: 10,
    uses: 1,
    generation: 1,
    afterHardExpiry: false,
    place: 'break-glass/web.yaml:1',
  };
  const slice = { ...sampleSlice(({ interfaces }) => void interfaces.pop()), breakGlass: [profile as never] };
  const opening = {
    subject: 'station-1',
    binding: 'svid' as const,
    interface: 'web',
    device: 'plc-1',
    operations: ['stop'],
    rule: 'break-glass:restart/1',
    place: profile.place,
    afterHardExpiry: false,
  };
  const asked = { subject: anyDevice, action: { name: 'stop' }, resource: web };
  assert.deepEqual(found(await page(decisionPoint(slice), 'subject', asked)), ['gateway-1']);
  assert.deepEqual(found(await page(decisionPoint(slice, {}, [opening]), 'subject', asked)), [
    'gateway-1',
    'station-1',
  ]);
});

test('an obligation that the caller does not declare drops that result alone', async () => {
  const slice = sampleSlice(({ grants }) => {
    grants[3] = { ...grants[3], operations: ['stop'] };
    grants.push({
      ...grants[3],
      id: 'stepped',
      operations: ['status'],
      obligations: [{ id: 'step-up', level: 'mfa' }],
    });
  });
  const point = decisionPoint(slice);
  const asking = async (supported_obligations: string[]) =>
    (await page(point, 'action', { subject: device('gateway-1'), resource: web, context: { supported_obligations } }))
      .results;
  assert.deepEqual(await asking([]), [{ name: 'stop' }]);
  assert.deepEqual(await asking(['step-up']), [
    { name: 'status', obligations: [{ id: 'obl-1', type: 'step-up', properties: { acr_value: 'mfa' } }] },
    { name: 'stop' },
  ]);
});

test('a search finds exactly what evaluations allow', async () => {
  const devices = ['gateway-1', 'camera-1', 'station-1'];
  const actions = [
    ...['one', 'two', 'three'].map((name) => ({ name })),
    ...['/', '/a', '/a/b'].map((path) => ({ name: 'GET', properties: { path } })),
  ];
  const said = fc.record({
    context: fc.constantFrom({}, { load: 5 }, { load: 9 }),
    site: fc.constantFrom('a', 'b'),
    lines: fc.constantFrom(['a'], ['a', 'b']),
    limit: fc.constantFrom(1, 2, 100),
    state: random.state,
  });
  let allowed = 0;
  let denied = 0;
  await fc.assert(
    fc.asyncProperty(random.slice, said, async (slice, { context, site, lines, limit, state }) => {
      const point = decisionPoint(slice);
      point.states.set('gateway-1', state);
      const subjectOf = (id: string) => ({ ...device(id), properties: { site } });
      const resourceOf = (id: string) => ({ type: 'interface', id, properties: { lines } });
      const allows = async (id: string, action: object, name: string): Promise<boolean> => {
        const message = { subject: subjectOf(id), action, resource: resourceOf(name), context };
        const outcome = await evaluation(point.ports, options, message);
        const yes = outcome.ok && outcome.body.decision;
        if (yes) allowed++;
        else denied++;
        return yes;
      };
      const filter = async <T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<T[]> => {
        const kept = await Promise.all(items.map(test));
        return items.filter((_, index) => kept[index]);
      };
      for (const action of actions) {
        for (const name of random.interfaceNames) {
          const message = {
            subject: { type: 'device', properties: { site } },
            action,
            resource: resourceOf(name),
            context,
          };
          assert.deepEqual(
            found({ results: await all(point, 'subject', message, limit) }).sort(),
            (await filter(devices, (id) => allows(id, action, name))).sort(),
          );
        }
        for (const id of devices) {
          const message = {
            subject: subjectOf(id),
            action,
            resource: { type: 'interface', properties: { lines } },
            context,
          };
          const results = await all(point, 'resource', message, limit);
          assert.deepEqual(
            found({ results }).sort(),
            (await filter(random.interfaceNames, (name) => allows(id, action, name))).sort(),
          );
        }
      }
      for (const id of devices) {
        for (const name of random.interfaceNames) {
          const message = { subject: subjectOf(id), resource: resourceOf(name), context };
          assert.deepEqual(
            found({ results: await all(point, 'action', message, limit) }),
            await filter(['one', 'two', 'three'], (action) => allows(id, { name: action }, name)),
          );
        }
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(allowed > 200 && denied > 200, `${allowed} allowed, ${denied} denied`);
});

test('a page of slow decisions lets others have their turn, and an order that comes meanwhile counts', async () => {
  const subjects = Array.from({ length: 40 }, (_, n) => `gateway-${n}`);
  const many = (slice: LooseSlice) => void (slice.grants = slice.grants.map((grant) => ({ ...grant, subjects })));
  const point = decisionPoint(sampleSlice(many));
  const { decide } = point.ports;
  const slow: typeof decide = (...asked) => {
    const until = performance.now() + 1;
    while (performance.now() < until) continue;
    return decide(...asked);
  };
  const slowly: Point = { ...point, ports: { ...point.ports, decide: slow } };
  const message = { subject: anyDevice, action: { name: 'status' }, resource: web };
  assert.equal(found(await page(slowly, 'subject', message)).length, 40);
  setImmediate(() => {
    for (const subject of subjects) point.states.set(subject, 'quarantined');
  });
  const some = found(await page(slowly, 'subject', message)).length;
  assert.ok(some > 0 && some < 40, `${some} results`);
});
