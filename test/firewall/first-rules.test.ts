// The rules of the real edge come before everything that can fail: a name that does not resolve, a cache that is damaged,
// an identity or a spool that is broken. Each edge runs in a namespace with a resolv.conf of its own.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { formatVerifierKey, generateKey, generateNoteKey, jwkOf, trustAnchorsToJson } from '../../identity/index.ts';
import { requires } from '../support/capabilities.ts';
import type { NetProcess } from '../support/netns.ts';
import { createTestAuthority } from '../support/pki.ts';
import { addresses, openCell, ports } from './cell.ts';
import type { Cell } from './cell.ts';

const root = join(import.meta.dirname, '../..');
const name = 'control.plant.example';
const resolver = addresses.gateway.cell;
const control = addresses.control.cell;

interface Device extends Disposable {
  readonly folder: string;
  readonly state: string;
  readonly cache: string;
  /** What the name server of the cell knows. */
  names(known: Readonly<Record<string, string>>): void;
  /** `edgeward edge run`, or another command of it. */
  start(cell: Cell, verb?: string): NetProcess;
}

/** An enrolled device whose control plane is known by name; `enrolled: false` for one that never was. */
function device({ enrolled = true } = {}): Device {
  const folder = mkdtempSync(join(tmpdir(), 'first-rules-'));
  const state = join(folder, 'state');
  const identity = join(state, 'identity');
  mkdirSync(identity, { recursive: true, mode: 0o700 });
  const write = (path: string, text: string): void => writeFileSync(path, text, { mode: 0o600 });
  if (enrolled) {
    const authority = createTestAuthority('plant.example');
    const svid = authority.issue('spiffe://plant.example/device/plc');
    const key = () => jwkOf(generateKey().publicKey);
    write(join(identity, 'key.pem'), svid.keyPem);
    write(join(identity, 'chain.pem'), svid.chainPem);
    const anchors = {
      trustDomain: 'plant.example',
      roots: [authority.root],
      publisherKeys: [key()],
      ordersKeys: [key()],
      logVerifierKey: formatVerifierKey('plant.example/audit', generateNoteKey().publicKey),
    };
    write(join(identity, 'anchors.json'), trustAnchorsToJson(anchors));
  }
  write(
    join(folder, 'edge.yaml'),
    `state: ${state}\nrun: ${join(folder, 'run')}\ncontrol: {address: "${name}:${ports.control}"}\ndiagnostics: 0\n`,
  );
  write(join(folder, 'resolv.conf'), `nameserver ${resolver}\noptions timeout:1 attempts:1\n`);
  chmodSync(join(folder, 'resolv.conf'), 0o644);
  write(join(folder, 'names.json'), '{}');
  return {
    folder,
    state,
    cache: join(state, 'control-addresses.json'),
    names: (known) => write(join(folder, 'names.json'), JSON.stringify(known)),
    start: (cell, verb = 'run') =>
      cell.spawn('plc', [
        'unshare',
        '--mount',
        'sh',
        '-c',
        'mount --bind "$0" /etc/resolv.conf && exec "$@"',
        join(folder, 'resolv.conf'),
        process.execPath,
        '--disallow-code-generation-from-strings',
        join(root, 'bin/edgeward.ts'),
        'edge',
        verb,
        '--config',
        join(folder, 'edge.yaml'),
      ]),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Servers that the device would reach if it were open, and the control plane; answers with the name server. */
async function serve(cell: Cell, known: Device): Promise<NetProcess> {
  const program = join(import.meta.dirname, 'name-server.ts');
  const server = cell.spawn('gateway', [process.execPath, program, resolver, join(known.folder, 'names.json')]);
  await Promise.all([
    server.waitFor(/answers/),
    cell.echo('camera', 'tcp', ports.status),
    cell.echo('camera', 'udp', 53),
    cell.echo('control', 'tcp', ports.control),
    cell.echo('plc', 'tcp', ports.status),
  ]);
  return server;
}

/** Nothing but what lock-down leaves: neither in nor out, and no other resolver. */
async function isLocked(cell: Cell): Promise<void> {
  assert.notEqual(await cell.probeTcp('plc', addresses.camera.cell, ports.status), 'open');
  assert.notEqual(await cell.probeUdp('plc', addresses.camera.cell, 53), 'answered');
  assert.equal(await cell.probeTcp('camera', addresses.plc.cell, ports.status), 'silent');
}

async function becomesOpen(cell: Cell): Promise<void> {
  for (let tries = 0; tries < 40; tries++) {
    if ((await cell.probeTcp('plc', control, ports.control)) === 'open') return;
    await delay(250);
  }
  assert.fail('the control plane did not become reachable');
}

test('a control plane whose name does not resolve leaves lock-down in force, and is planned in when it does', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  using plc = device();
  await serve(cell, plc);
  assert.equal(await cell.probeTcp('plc', addresses.camera.cell, ports.status), 'open', 'the host was open before');
  writeFileSync(plc.cache, '');
  const edge = plc.start(cell);
  await edge.waitFor(/edge runs/, 20_000);
  assert.match(edge.output(), /count as unknown/);
  assert.match(edge.output(), /"rules":"lockdown"/);
  await isLocked(cell);
  assert.notEqual(await cell.probeTcp('plc', control, ports.control), 'open');
  await edge.waitFor(/EDGE_CONTROL_UNRESOLVED/);

  plc.names({ [name]: control });
  await becomesOpen(cell);
  await isLocked(cell);
  assert.deepEqual(JSON.parse(readFileSync(plc.cache, 'utf8')), { name, addresses: [control] });
  assert.equal(await edge.stop(), 0);
});

test('a restart finds the control plane where it was, whatever the resolver does', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  using plc = device();
  await cell.echo('control', 'tcp', ports.control);
  const questions = await cell.echo('gateway', 'udp', 53);
  writeFileSync(plc.cache, JSON.stringify({ name, addresses: [control] }));
  await using edge = plc.start(cell);
  await edge.waitFor(/edge runs/, 20_000);
  await becomesOpen(cell);
  assert.equal((await questions.received()).received, 0, 'nobody was asked');
  assert.doesNotMatch(edge.output(), /EDGE_CONTROL_UNRESOLVED/);
});

test('an edge that waits for its resolver stops when it is told to', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  using plc = device();
  writeFileSync(join(plc.folder, 'resolv.conf'), `nameserver ${resolver}\noptions timeout:30\n`);
  plc.names({ [name]: '' });
  const server = await serve(cell, plc);
  const edge = plc.start(cell);
  await Promise.all([edge.waitFor(/edge runs/, 20_000), server.waitFor(/asked for control/, 20_000)]);
  assert.equal(await edge.stop(), 0);
});

const broken: readonly [string, string, (plc: Device) => void][] = [
  ['identity', 'CA_IDENTITY_BROKEN', (plc) => writeFileSync(join(plc.state, 'identity/chain.pem'), 'x')],
  ['lock', 'FILE_SYSTEM_FAILED', (plc) => mkdirSync(join(plc.state, 'instance.lock'))],
  ['spool', 'SPOOL_UNWRITABLE', (plc) => writeFileSync(join(plc.state, 'spool'), 'no folder')],
];
for (const [what, code, damage] of broken) {
  test(`an edge with a broken ${what} ends, and leaves lock-down in force`, async (t) => {
    if (!requires(t, 'root', 'netns', 'nft')) return;
    await using cell = await openCell();
    using plc = device();
    await serve(cell, plc);
    damage(plc);
    const edge = plc.start(cell);
    assert.notEqual(await edge.exited, 0);
    assert.match(edge.output(), new RegExp(code));
    await isLocked(cell);
  });
}

test('edge rules puts the first rules in force and ends, for a service that has to be done before any network', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  using plc = device();
  await serve(cell, plc);
  const rules = plc.start(cell, 'rules');
  assert.equal(await rules.exited, 0, rules.output());
  assert.match(rules.output(), /lockdown/);
  await isLocked(cell);
  // Where an edge runs, its rules are newer.
  await using edge = plc.start(cell);
  await edge.waitFor(/edge runs/, 20_000);
  const again = plc.start(cell, 'rules');
  assert.equal(await again.exited, 1);
  assert.match(again.output(), /INSTANCE_RUNNING/);
});

test('a host that was never enrolled is told so and stays as it was, so that it can enrol', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using cell = await openCell();
  using plc = device({ enrolled: false });
  await serve(cell, plc);
  const edge = plc.start(cell);
  assert.equal(await edge.exited, 1);
  assert.match(edge.output(), /CA_IDENTITY_ABSENT/);
  assert.equal(await cell.probeTcp('plc', addresses.camera.cell, ports.status), 'open');
});
