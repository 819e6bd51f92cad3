// A fleet whose publication goes in parts, published by the command to a control plane that runs; then
// again after one device moved.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { edgewardProgram, Site } from './site.ts';

const devices = 1_400;
const site = new Site();
before(async () => void (await site.start()));
after(async () => {
  await site.stopControl();
  site[Symbol.dispose]();
});

function writeInventory(addressOfLast: string): void {
  const cameras = Array.from({ length: devices }, (_, index) => {
    const address = index === devices - 1 ? addressOfLast : `10.1.${index >> 8}.${index & 255}`;
    const card = `[{name: eth0, network: yard, address: ${address}}]`;
    return `  - {id: camera-${index}, labels: {role: ${index < 10 ? 'viewer' : index < devices - 10 ? 'spare' : 'camera'}}, interfaces: ${card}}\n`;
  });
  site.write(
    'policy/inventory/cameras.yaml',
    `networks:\n  - {name: yard, cidrs: [10.1.0.0/16]}\ndevices:\n${cameras.join('')}`,
  );
}

function git(...args: readonly string[]): void {
  const named = ['-c', 'user.name=Ada', '-c', 'user.email=ada@plant.example', ...args];
  const { status, stderr } = spawnSync('git', named, {
    cwd: join(site.folder, 'policy'),
    env: { PATH: process.env['PATH'], HOME: site.folder },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
}

function publish(): Record<string, number> {
  git('add', '-A');
  git('commit', '-qm', 'the yard');
  const { status, stdout, stderr } = spawnSync(
    edgewardProgram,
    ['policy', 'publish', 'policy', '--key', 'publisher.pem', '--json'],
    { cwd: site.folder, env: site.environment, encoding: 'utf8', timeout: 240_000 },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Record<string, number>;
}

test('1,400 devices are published, and after a move only chunks of those who know the device are sent', () => {
  for (const folder of ['inventory', 'interfaces', 'grants'])
    mkdirSync(join(site.folder, 'policy', folder), { recursive: true });
  site.write('policy/edgeward.yaml', 'format: 1\ntrustDomain: plant.example\n');
  site.write(
    'policy/interfaces/video.yaml',
    'interfaces:\n  - {name: video, devices: {labels: {role: camera}}, protocol: port, port: 554, operations: {watch: {}}}\n',
  );
  site.write(
    'policy/grants/video.yaml',
    'grants:\n  - {id: watch, subjects: {labels: {role: viewer}}, interface: video, operations: [watch], binding: ip}\n',
  );
  writeInventory('10.1.200.1');
  git('init', '-q');
  const first = publish();
  assert.deepEqual([first['devices'], first['version'], first['uploaded']], [devices, 1, first['chunks']]);
  writeInventory('10.1.200.2');
  const second = publish();
  assert.equal(second['version'], 2);
  // Its own list of devices, and a piece of that of its ten viewers.
  const sent = second['uploaded'] ?? 0;
  assert.ok(sent >= 2 && sent <= 11, `${sent} of ${second['chunks']} chunks`);
  assert.match(site.must(['policy', 'status']), /version 2/);
});
