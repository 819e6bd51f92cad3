// The documented examples are what the programs read, and unknown keys are refused with their place.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CodedError } from '../runtime/errors.ts';
import { loadControlConfig } from './control/config.ts';
import { loadEdgeConfig } from './edge/config.ts';

const examples = join(import.meta.dirname, '../examples/config');

test('the documented control.yaml is read, with every default it names', async () => {
  const config = await loadControlConfig(join(examples, 'control.yaml'));
  assert.equal(config.trustDomain, 'plant.example');
  assert.deepEqual(config.attestation, { intervalSeconds: 60, maxAgeSeconds: 900 });
});

test('the documented edge.yaml is read', async () => {
  const config = await loadEdgeConfig(join(examples, 'edge.yaml'));
  assert.equal(config.control.address, 'control.plant.example:7443');
  assert.equal(config.firewall.mode, 'enforce');
});

test('a mask that no event field has is refused: it would hide nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  writeFileSync(file, text.replace('\n  mask: []\n', '\n  mask: [source_ip, suject]\n'));
  await assert.rejects(
    async () => await loadEdgeConfig(file),
    (error) =>
      error instanceof CodedError &&
      error.code === 'CONFIG_INVALID' &&
      /audit\.mask\[1\].*"suject"/.test(error.message),
  );
});

test('the documented keys of AuthZEN are read, and refused where they would let a caller say what is not its own', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  const [, block = ''] = /^( {2}# authzen:\n(?: {2}# {3}.*\n)+)/m.exec(text) ?? [];
  const uncommented = block.replaceAll(/^ {2}# /gm, '  ');
  const load = async (from = '', to = '') => {
    writeFileSync(file, text.replace(block, uncommented.replace(from, to)));
    return (await loadEdgeConfig(file)).authz.authzen;
  };
  assert.deepEqual(await load(), {
    socket: '/run/edgeward/authzen.sock',
    tcp: '127.0.0.1:9193',
    tokenFile: '/etc/edgeward/authzen.token',
    url: 'https://pdp.gateway-1.plant.example',
    binding: 'svid',
    asserts: ['context.load'],
    custom: ['badge'],
  });
  for (const [from, to] of [
    ['context.load', 'subject.attestation'],
    ['context.load', 'subject.risk'],
    ['context.load', 'resource.device'],
    ['context.load', 'subject'],
    ['https://pdp', 'http://pdp'],
    ['binding: svid', 'binding: word-of-mouth'],
    ['    tokenFile: /etc/edgeward/authzen.token\n', ''],
  ]) {
    await assert.rejects(
      async () => await load(from, to),
      (error) => error instanceof CodedError && error.code === 'CONFIG_INVALID',
      `${from} as ${to}`,
    );
  }
});

test('the documented keys of authz.tls are read; who may ask is named by exact SPIFFE IDs of devices and workloads', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  const [, block = ''] = /^( {2}# tls:\n(?: {2}# {3}.*\n)+)/m.exec(text) ?? [];
  const uncommented = block.replaceAll(/^ {2}# /gm, '  ');
  const load = async (from = '', to = '') => {
    writeFileSync(file, text.replace(block, uncommented.replace(from, to)));
    return (await loadEdgeConfig(file)).authz.tls;
  };
  const listed = 'spiffe://plant.example/device/gateway-1/workload/envoy';
  assert.deepEqual(await load(), { listen: '0.0.0.0:9443', proxies: [listed] });
  assert.equal((await loadEdgeConfig(join(examples, 'edge.yaml'))).authz.tls, undefined);
  for (const [from, to] of [
    [listed, 'SPIFFE://plant.example/device/gateway-1'],
    [listed, 'spiffe://plant.example/device/*'],
    [listed, 'spiffe://plant.example/operator/ann'],
    [listed, 'spiffe://plant.example/control/server'],
    [listed, 'gateway-1'],
    [`[${listed}]`, '[]'],
    ['listen: 0.0.0.0:9443', ''],
    ['0.0.0.0:9443', 'unix:/run/edgeward/remote.sock'],
    ['proxies:', 'clients:'],
  ] as const) {
    assert.ok(uncommented.includes(from), from);
    await assert.rejects(
      async () => await load(from, to),
      (error) => error instanceof CodedError && error.code === 'CONFIG_INVALID',
      `${from} as ${to}`,
    );
  }
});

test('an unknown key is refused with file, line, column and a suggestion', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8').replace('\nfirewall:\n', '\nfirewal:\n');
  writeFileSync(file, text);
  const line = text.split('\n').indexOf('firewal:') + 1;
  await assert.rejects(
    async () => await loadEdgeConfig(file),
    (error) =>
      error instanceof CodedError &&
      error.code === 'CONFIG_INVALID' &&
      error.place?.file === file &&
      error.place.line === line &&
      error.place.column === 1 &&
      /firewal/.test(error.message) &&
      /firewall/.test(error.message),
  );
});

test('an address that no rule can name is refused with its place, before anything is done', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const wrong = [
    "control: {address: '[::ffff:10.0.0.1]:7443'}",
    'control: {address: "control.plant.example:77443"}',
    'control: {address: "control.plant.example:0"}',
    'control: {address: "10.0.0.1:7443"}\nfirewall: {dns: ["::ffff:10.0.0.1"]}',
    'control: {address: "10.0.0.1:7443"}\nfirewall: {dns: [name.plant.example]}',
  ];
  for (const text of wrong) {
    writeFileSync(file, `${text}\n`);
    await assert.rejects(
      async () => await loadEdgeConfig(file),
      (error) => error instanceof CodedError && error.code === 'CONFIG_INVALID' && error.place?.line !== undefined,
      text,
    );
  }
  for (const address of ['control.plant.example:7443', '10.0.0.1:7443', '[fd20::1]:7443']) {
    writeFileSync(file, `control: {address: "${address}"}\nfirewall: {dns: [10.20.0.53, "fd20::53"]}\n`);
    assert.equal((await loadEdgeConfig(file)).control.address, address);
  }
});

test('a proxy and its stand-in have a port of their own each', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  const [, block = ''] = /^(proxies: \[\]\n(?:#.*\n)+)/m.exec(text) ?? [];
  const load = async (proxies: string) => {
    writeFileSync(file, text.replace(block, proxies));
    return (await loadEdgeConfig(file)).proxies;
  };
  const documented = block.replace(' []', '').replaceAll(/^# /gm, '  ');
  const [proxy] = await load(documented);
  assert.deepEqual(proxy, {
    interface: 'plc-modbus',
    listen: 15_502,
    standby: 25_502,
    upstream: '127.0.0.1:502',
    learn: false,
  });
  const [short] = await load('proxies: [{interface: a, listen: 15502}]\n');
  assert.equal(short?.standby, 25_502, 'the default that is documented');
  for (const [proxies, expected] of [
    ['[{interface: a, listen: 15502, standby: 15502}]', /standby.*15502 is taken by listen of a/],
    ['[{interface: a, listen: 15502}, {interface: b, listen: 25502}]', /25502 is taken by standby of a/],
    ['[{interface: a, listen: 60000}]', /70000 is none/],
    ['[{interface: a, listen: 1}, {interface: b, listen: 1, standby: 2}]', /1 is taken by listen of a/],
  ] as const) {
    await assert.rejects(
      async () => await load(`proxies: ${proxies}\n`),
      (error) => error instanceof CodedError && error.code === 'CONFIG_INVALID' && expected.test(error.message),
      proxies,
    );
  }
});

test('the documented egress is read, and refused where a key is missing, unknown or out of range', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  const [, block = ''] = /^(egress: \[\]\n(?:# .*\n)+)/m.exec(text) ?? [];
  const uncommented = block.replace('egress: []', 'egress:').replaceAll(/^# /gm, '  ');
  const load = async (from = '', to = '') => {
    assert.ok(uncommented.includes(from), from);
    writeFileSync(file, text.replace(block, uncommented.replace(from, to)));
    return (await loadEdgeConfig(file)).egress;
  };
  assert.deepEqual(await load(), [{ interface: 'plc-modbus', device: 'plc-1', listen: 15_503 }]);
  assert.deepEqual((await loadEdgeConfig(join(examples, 'edge.yaml'))).egress, []);
  for (const [from, to] of [
    ['device: plc-1 ', ' '],
    ['interface: plc-modbus', 'interface: ""'],
    ['listen: 15503', 'listen: 0'],
    ['listen: 15503', 'listen: 0.0.0.0:15503'],
    ['listen: 15503', 'port: 15503'],
  ] as const) {
    await assert.rejects(load(from, to), { code: 'CONFIG_INVALID' }, `${from} as ${to}`);
  }
  writeFileSync(
    file,
    text.replace(block, uncommented).replace('proxies: []', 'proxies: [{interface: a, listen: 5503}]'),
  );
  await assert.rejects(loadEdgeConfig(file), /15503 is taken by standby of a/);
});

test('the documented brokers are read, and refused where a key is missing, unknown or out of range', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeward-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'edge.yaml');
  const text = readFileSync(join(examples, 'edge.yaml'), 'utf8');
  const [, block = ''] = /^(brokers: \[\]\n(?:# .*\n)+)/m.exec(text) ?? [];
  const uncommented = block.replace('brokers: []', 'brokers:').replaceAll(/^# /gm, '  ');
  const load = async (from = '', to = '') => {
    assert.ok(uncommented.includes(from), from);
    writeFileSync(file, text.replace(block, uncommented.replace(from, to)));
    return (await loadEdgeConfig(file)).brokers;
  };
  const admin = { userName: 'edgeward', passwordFile: '/etc/edgeward/broker-admin.secret' };
  const expected = { interface: 'broker', address: '127.0.0.1:1883', admin, intervalSeconds: 60 };
  assert.deepEqual(await load(), [expected]);
  assert.deepEqual(await load('  intervalSeconds: 60 ', '  '), [expected], 'the default is the documented one');
  assert.deepEqual((await loadEdgeConfig(join(examples, 'edge.yaml'))).brokers, []);
  for (const [from, to] of [
    ['address: 127.0.0.1:1883 ', ' '],
    ['127.0.0.1:1883', '192.0.2.1:1883'],
    ['127.0.0.1:1883', 'localhost:1883'],
    ['interface: broker', 'interface: ""'],
    ['userName: edgeward, ', ''],
    ['passwordFile: /etc', 'password: /etc'],
    ['intervalSeconds: 60', 'intervalSeconds: 4'],
    [
      '  - interface: broker',
      '  - {interface: broker, address: "127.0.0.1:1", admin: {userName: a, passwordFile: /b}}\n  - interface: broker',
    ],
  ] as const) {
    await assert.rejects(load(from, to), { code: 'CONFIG_INVALID' }, `${from} as ${to}`);
  }
});
