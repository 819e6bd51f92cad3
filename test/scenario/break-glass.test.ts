// Break-glass on real programs, with the cloud gone: two people sign on their own, a person brings the ticket, the edge opens
// what it says and no more, is killed in between, and the evidence is in the log when the cloud is back.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportPkcs8Pem, generateKey, jwkOf } from '../../identity/index.ts';
import { until } from '../support/until.ts';
import { type Answer, checkByEnvoy } from './proxies.ts';
import { createSite } from './site.ts';

const approver = (name: string, folder: string): string => {
  const { privateKey, publicKey } = generateKey();
  writeFileSync(join(folder, `${name}.pem`), exportPkcs8Pem(privateKey), { mode: 0o600 });
  return `{name: ${name}, key: ${JSON.stringify(jwkOf(publicKey))}}`;
};

const profile = (approvers: readonly string[], generation: number): string => `profiles:
  - id: restart-panel
    subjects: [gateway-1]
    interface: hmi-web
    operations: [restart]
    approvers: [${approvers.join(', ')}]
    maxDuration: 10m
    uses: 2
    generation: ${generation}
`;

test('without the cloud, two signatures open one operation for minutes, once', { timeout: 240_000 }, async (t) => {
  const people = mkdtempSync(join(tmpdir(), 'ew-people-'));
  t.after(() => rmSync(people, { recursive: true, force: true }));
  const approvers = ['anna', 'ben', 'cleo'].map((name) => approver(name, people));
  await using site = await createSite({
    policy: {
      'interfaces/hmi.yaml': (text) =>
        text.replace(
          '      view:\n',
          '      restart:\n        methods: [POST]\n        paths: [/restart]\n      view:\n',
        ),
      'casbin/hmi/policy.csv': (text) => `${text}p, viewer, /restart, POST\n`,
      'break-glass/panel.yaml': () => profile(approvers, 1),
    },
  });
  await Promise.all([site.enroll('hmi-1'), site.enroll('gateway-1')]);
  await site.startEdge('hmi-1');
  const ask = (path: string, method = 'POST'): Promise<Answer> =>
    checkByEnvoy(site.paths.grpcSocket('hmi-1'), {
      interface: 'hmi-web',
      method,
      path,
      chain: site.paths.chain('gateway-1'),
    });
  await until('policy and states', async () => (await ask('/status', 'GET')).allow);
  await site.stop('control', 'SIGKILL');

  const file = (name: string): string => join(people, name);
  const ticketFor = async (name: string, signers: readonly string[], generation = 1): Promise<string> => {
    const about = ['--trust-domain', 'plant.example', '--edge', 'hmi-1', '--profile', 'restart-panel'];
    const what = ['--subject', 'gateway-1', '--operations', 'restart', '--minutes', '10'];
    const why = ['--by', 'dora', '--reason', 'the panel shows nothing', '--generation', String(generation)];
    await site.command(['break-glass', 'request', ...about, ...what, ...why, '--out', file(`${name}.0`)]);
    for (const [index, signer] of signers.entries()) {
      const files = [file(`${name}.${index}`), '--key', file(`${signer}.pem`), '--out', file(`${name}.${index + 1}`)];
      await site.command(['break-glass', 'approve', ...files]);
    }
    return file(`${name}.${signers.length}`);
  };
  const use = async (path: string): Promise<string> => {
    const { code, document } = await site.tryCommand<{ error?: { code: string } }>([
      'break-glass',
      'use',
      path,
      '--config',
      site.paths.edgeConfig('hmi-1'),
    ]);
    return code === 0 ? 'open' : (document.error?.code ?? `code ${code}`);
  };

  const closed = await ask('/restart');
  assert.deepEqual([closed.allow, closed.status], [false, 403]);
  assert.equal(await use(await ticketFor('alone', ['anna'])), 'BREAK_GLASS_APPROVALS');
  assert.equal(await use(await ticketFor('twice', ['anna', 'anna'])), 'BREAK_GLASS_APPROVALS');
  const ticket = await ticketFor('first', ['anna', 'ben']);
  const mutated = readFileSync(ticket, 'latin1').replace(/.(?=\n$)/, (last) => (last === 'A' ? 'B' : 'A'));
  writeFileSync(file('mutated'), mutated);
  assert.equal(await use(file('mutated')), 'BREAK_GLASS_SIGNATURE');
  assert.equal((await ask('/restart')).allow, false);

  assert.equal(await use(ticket), 'open');
  const opened = await ask('/restart');
  assert.equal(opened.allow, true);
  assert.match(opened.rule, /^break-glass:restart-panel\/[0-9a-f]{32}$/);
  assert.equal((await ask('/admin/x')).allow, false, 'nothing else');
  assert.equal((await ask('/status', 'GET')).rule, 'grant:gateway-views-hmi');
  const { breakGlass } = (await site.status('hmi-1')) as unknown as {
    breakGlass: { open: { subject: string; approvers: string[]; secondsLeft: number }[] };
  };
  assert.deepEqual(
    breakGlass.open.map(({ subject, approvers: names }) => [subject, names]),
    [['gateway-1', ['anna', 'ben']]],
  );

  await site.stop('hmi-1', 'SIGKILL');
  await site.startEdge('hmi-1');
  assert.equal(await use(ticket), 'BREAK_GLASS_SPENT');
  assert.equal((await ask('/restart')).allow, true, 'the same boot, the same minutes');
  assert.equal(await use(await ticketFor('second', ['ben', 'cleo'])), 'open');
  await site.stop('hmi-1', 'SIGKILL');
  await site.startEdge('hmi-1');
  assert.equal(await use(await ticketFor('third', ['anna', 'cleo'])), 'BREAK_GLASS_QUOTA');

  await site.startControl();
  const events = await until('the evidence is in the log of the cloud', async () => {
    const found = await site.events({ device: 'hmi-1', kind: 'authz' });
    return found.some(({ data }) => data['code'] === 'BREAK_GLASS_QUOTA') && found;
  });
  const openings = events.filter(({ activity }) => activity === 'break-glass');
  assert.deepEqual(
    openings.map(({ severity, data }) => [severity, data['by'], data['reason']]),
    [
      ['critical', ['anna', 'ben', 'dora'], 'the panel shows nothing'],
      ['critical', ['ben', 'cleo', 'dora'], 'the panel shows nothing'],
    ],
  );
  const uses = events.filter(({ activity, data }) => activity === 'allow' && data['path'] === '/restart');
  assert.deepEqual(
    uses.map(({ severity, data }) => [severity, data['rule'] === openings[0]?.data['rule'], data['obligations']]),
    [
      ['high', true, 'log notification'],
      ['high', true, 'log notification'],
    ],
  );

  const finding = await until('the finding', async () => {
    const { findings } = await site.operators.listFindings({ state: 'open' });
    return findings.find(({ ruleId, count }) => ruleId === 'edgeward-break-glass' && count === 2);
  });
  assert.deepEqual([finding.deviceId, finding.level], ['hmi-1', 'critical']);
  const review = async (name: string): Promise<string> => {
    const credential = await site.issueOperator(name, ['auditor']);
    const note = ['--note', 'the panel hung', '--identity', credential];
    const args = ['finding', 'review', finding.id, ...note];
    const { code, document } = await site.tryCommand<{ error?: { code: string } }>(args);
    return code === 0 ? 'reviewed' : (document.error?.code ?? `code ${code}`);
  };
  assert.deepEqual([await review('ben'), await review('erin')], ['DETECT_REVIEW_OWN', 'reviewed']);
  const reviewed = (await site.operators.listFindings({ state: 'closed' })).findings.find(
    ({ id }) => id === finding.id,
  );
  assert.equal(reviewed?.closedWhy, 'reviewed by erin: the panel hung');

  site.editFile('break-glass/panel.yaml', () => profile(approvers, 2));
  await site.commit('reviewed');
  await site.publish();
  await until('version 2 is enforced', async () => (await site.status('hmi-1')).version === 2);
  assert.equal((await ask('/restart')).allow, false, 'a new generation ends what was open');
  assert.equal(await use(await ticketFor('fourth', ['anna', 'ben'], 2)), 'open');
  assert.equal((await ask('/restart')).allow, true);
});
