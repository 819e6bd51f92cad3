import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CodedError } from '../../../runtime/errors.ts';
import { slicesToAsk } from '../build.ts';
import { decideWithEngine } from '../decide.ts';
import { loadRepository } from '../load.ts';
import type { Repository } from '../repository.ts';
import { sampleFiles, sampleNow, treeOf } from '../sample-tree.ts';
import { policyEdits, requestEdits, type Edit } from './edits.ts';
import { explainQuestion, formatExplanation, type Flips } from './explain.ts';
import { questionFor, type Wire } from './question-for.ts';
import { requestOf, type Question } from './question.ts';
import { spaceOf } from './space.ts';

function load(grants = sampleFiles['grants/cell.yaml'] ?? '', more: Record<string, string> = {}): Repository {
  const files = { ...sampleFiles, 'grants/cell.yaml': grants, 'tests/cell.yaml': 'tests: []\n', ...more };
  const { repository, problems } = loadRepository(treeOf(files), sampleNow);
  assert.ok(repository, JSON.stringify(problems));
  return repository;
}

const modbus = (code: number, address = 0): Wire => ({
  modbus: { function: code, unit: 1, address, quantity: 1, values: code === 6 ? [1] : [] },
});

const ask = (repository: Repository, name: string, wire: Wire, given: object = {}): Question =>
  questionFor(
    repository,
    decideWithEngine(),
    { interface: name, wire },
    { subject: 'gateway-1', time: sampleNow, ...given },
  );

const words = ({ flips }: Flips): string[] => flips.map(({ edits }) => edits.map(({ what }) => what).join(' and '));

test('an answer is explained from the rule to the commit, and the client is told nothing of it', () => {
  const repository = load();
  const found = explainQuestion(repository, decideWithEngine(), ask(repository, 'plc-modbus', modbus(6)), 'commit abc');
  assert.deepEqual([found.decision.reason, found.decision.rule], ['denied', 'deny:nobody-writes']);
  assert.equal(found.clientReason, 'not permitted');
  assert.deepEqual(found.chain, [
    'deny:nobody-writes: grants/cell.yaml:12',
    'operation write-setpoint',
    'interface plc-modbus: interfaces/cell.yaml:2',
    'slice of plc-1',
    'trust domain plant.example',
    'commit abc',
  ]);
  assert.deepEqual(words(found.flips.policy), [
    'remove deny:nobody-writes and grant:gateway-reads-plc opens write-setpoint',
    'remove deny:nobody-writes and a new grant opens write-setpoint to gateway-1',
  ]);
  assert.deepEqual(words(found.flips.request).slice(0, 1), ['it asks for read-holding-registers unit 1 address 0']);
  assert.match(formatExplanation(found), /\nDENY {2}denied {2}by deny:nobody-writes {2}grants\/cell\.yaml:12\n/);
});

test('the condition that stands in the way is named, on both sides', () => {
  const repository = load(`grants:
  - id: reads
    subjects: [gateway-1]
    interface: plc-modbus
    operations: [read-process]
    binding: ip
    conditions: {attestationMaxAge: 30m, maxRisk: 20}
  - {id: views, subjects: [gateway-1], interface: hmi-web, operations: [view]}
`);
  const given = { attestedAgo: 31 * 60_000 };
  const { flips } = explainQuestion(
    repository,
    decideWithEngine(),
    ask(repository, 'plc-modbus', modbus(3), given),
    '',
  );
  assert.deepEqual(words(flips.request), ['the attestation is 30m old']);
  assert.deepEqual(words(flips.policy), [
    'grant:reads has no condition attestationMaxAgeSeconds',
    'a new grant opens read-process to gateway-1',
  ]);
});

test('the Casbin line that is missing is written out', () => {
  const repository = load();
  const question = ask(repository, 'hmi-web', { http: { method: 'GET', path: '/' } });
  const { decision, flips } = explainQuestion(repository, decideWithEngine(), question, '');
  assert.equal(decision.reason, 'casbin');
  assert.deepEqual(words(flips.policy), ['add the line "p, gateway-1, /, GET"', 'hmi-web does not name casbin:hmi']);
});

test('a name that the repository does not hold is refused with the nearest', () => {
  const repository = load();
  const refused = (name: string, wire: Wire, device?: string): string => {
    try {
      questionFor(repository, decideWithEngine(), { interface: name, device, wire }, { subject: 'x', time: 0 });
      return '';
    } catch (error) {
      assert.ok(error instanceof CodedError && error.code === 'POLICY_QUESTION_INVALID');
      return error.message;
    }
  };
  assert.equal(refused('plc-modbuss', { port: true }), 'unknown interface plc-modbuss; did you mean plc-modbus?');
  assert.match(refused('plc-modbus', { operation: 'read-proces' }), /did you mean read-process/);
  assert.match(refused('plc-modbus', { port: true }), /speaks modbus/);
  assert.match(refused('plc-modbus', modbus(3), 'plc-2'), /unknown device with interface plc-modbus: plc-2/);
});

/** Every set of the edits of exactly that size that flips the answer, without any help of the search. */
function bruteForce(
  repository: Repository,
  question: Question,
  allowed: boolean,
  edits: readonly Edit[],
  size: number,
): string[] {
  const found: string[] = [];
  for (let set = 0; set < 2 ** edits.length; set++) {
    const chosen = edits.filter((_, index) => (set >> index) & 1);
    if (chosen.length !== size || new Set(chosen.map(({ aspect }) => aspect)).size !== size) continue;
    const changed = chosen.reduce((old, edit) => edit.policy(old), repository);
    const asked = chosen.reduce((old, edit) => edit.request(old), question);
    const slice = slicesToAsk(changed, new Set([question.when.device])).get(question.when.device);
    assert.ok(slice);
    const { request, freshness } = requestOf(asked);
    let answer = allowed;
    try {
      answer = decideWithEngine().decide(slice, request, freshness).allow;
    } catch (error) {
      // What does not compile flips nothing.
      assert.ok(error instanceof CodedError);
    }
    if (answer !== allowed) found.push(chosen.map(({ what }) => what).join(' and '));
  }
  return found;
}

const conditions = fc.constantFrom('{}', '{maxRisk: 20}', '{attestation: [tpm]}', '{timeWindow: 06:00-08:00}');
const subjects = fc.constantFrom('[gateway-1]', '[hmi-1]', '[gateway-1, hmi-1]');
const operations = fc.constantFrom('[look]', '[change]');
const web = `interfaces:
  - name: web
    device: plc-1
    protocol: http
    port: 80
    operations:
      look: {methods: [GET], paths: [/a]}
      change: {methods: [POST], paths: [/a], class: sensitive}
`;
const policy = fc
  .tuple(
    fc.array(fc.tuple(subjects, operations, conditions), { minLength: 1, maxLength: 2 }),
    fc.array(fc.tuple(subjects, operations), { maxLength: 1 }),
  )
  .map(([grants, denies]) => {
    const rules = grants.map(
      ([who, what, condition], index) =>
        `  - {id: g${index}, subjects: ${who}, interface: web, operations: ${what}, conditions: ${condition}}\n`,
    );
    const closed = denies.map(([who, what]) => `  - {id: d, subjects: ${who}, interface: web, operations: ${what}}\n`);
    return `grants:\n${rules.join('')}denies:${closed.length === 0 ? ' []\n' : `\n${closed.join('')}`}`;
  });

test('every flip flips, none is left out, and nothing smaller does', () => {
  fc.assert(
    fc.property(
      policy,
      fc.constantFrom('gateway-1', 'hmi-1'),
      fc.constantFrom('GET', 'POST'),
      fc.constantFrom('trusted', 'quarantined'),
      fc.constantFrom('svid', 'ip'),
      (grants, subject, method, state, binding) => {
        const repository = load(grants, { 'interfaces/cell.yaml': web });
        const engine = decideWithEngine();
        const question = ask(repository, 'web', { http: { method, path: '/a' } }, { subject, state, binding });
        const { decision, flips } = explainQuestion(repository, engine, question, '');
        const slice = slicesToAsk(repository, new Set(['plc-1'])).get('plc-1');
        assert.ok(slice);
        const space = spaceOf(engine, [slice], 'web', 'plc-1', {
          subjects: [],
          strangers: true,
          now: sampleNow,
        });
        const { request } = requestOf(question);
        const names = engine.operationsOf(slice, request)?.sure ?? [];
        const sides = [
          [flips.policy, policyEdits(repository, question, names).slice(0, 14)],
          [flips.request, requestEdits(question, slice, space).slice(0, 14)],
        ] as const;
        for (const [found, edits] of sides) {
          const known = new Set(edits.map(({ what }) => what));
          // Those made of the edits that brute force has the time for.
          const mine = words(found).filter((flip) => flip.split(' and ').every((what) => known.has(what)));
          for (let size = 1; size <= Math.min(found.size || 2, 3); size++) {
            const brute = bruteForce(repository, question, decision.allow, edits, size);
            assert.deepEqual(brute, size === found.size ? mine : [], `${size} of ${found.size}`);
          }
        }
      },
    ),
    { numRuns: 6 },
  );
});
