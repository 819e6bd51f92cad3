// The shipped units: known keys, nothing that weakens them, and what systemd itself says where it is installed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createProgram } from '../../cli/program.ts';
import { requires } from '../support/capabilities.ts';

const folder = join(import.meta.dirname, '../../examples/systemd');
const units = readdirSync(folder).filter((name) => name.endsWith('.service'));

/** Keys by section that the units may use; a misspelt one would be ignored by systemd, with what it protects. */
const known: Readonly<Record<string, string>> = {
  Unit: 'Description Documentation Wants After Before Conflicts DefaultDependencies RequiresMountsFor',
  Service:
    'Type RemainAfterExit ExecStart TimeoutStartSec User Group StateDirectory StateDirectoryMode CacheDirectory CacheDirectoryMode Environment RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve LoadCredential Restart RestartSec TimeoutStopSec WatchdogSec NotifyAccess LimitNOFILE OOMScoreAdjust UMask AmbientCapabilities CapabilityBoundingSet NoNewPrivileges PrivateDevices PrivateTmp ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality RemoveIPC SystemCallArchitectures SystemCallFilter',
  Install: 'WantedBy',
};
const hardening = [
  'NoNewPrivileges=yes',
  'ProtectSystem=strict',
  'ProtectHome=yes',
  'UMask=0077',
  'RestrictNamespaces=yes',
];

const linesOf = (unit: string): string[] =>
  readFileSync(join(folder, unit), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

for (const unit of units) {
  test(`${unit}: every key is one that systemd knows`, () => {
    let section = '';
    for (const line of linesOf(unit)) {
      const header = /^\[(\w+)\]$/.exec(line)?.[1];
      if (header !== undefined) section = header;
      else {
        const key = /^(\w+)=/.exec(line)?.[1];
        assert.ok(key !== undefined && known[section]?.split(' ').includes(key), `[${section}] ${line}`);
      }
    }
  });

  test(`${unit}: hardened, and it starts a command that exists`, () => {
    const lines = linesOf(unit);
    for (const line of hardening) assert.ok(lines.includes(line), line);
    const start = lines.find((line) => line.startsWith('ExecStart=')) ?? '';
    const [, group = '', verb = ''] = /\/edgeward (\w+) (\w+) --config \S+$/.exec(start) ?? [];
    const found = createProgram()
      .commands.find((command) => command.name() === group)
      ?.commands.find((command) => command.name() === verb);
    assert.ok(found !== undefined, start);
  });
}

test('the rules are in force before the network may come up', () => {
  // What is ordered behind a oneshot waits until it has ended; behind any other service only until its program is started.
  const rules = linesOf('edgeward-firewall.service');
  const edge = linesOf('edgeward-edge.service');
  for (const line of ['Type=oneshot', 'RemainAfterExit=yes', 'Wants=network-pre.target', 'DefaultDependencies=no']) {
    assert.ok(rules.includes(line), line);
  }
  assert.ok(rules.some((line) => /^Before=.*\bnetwork-pre\.target\b/.test(line)));
  assert.ok(!rules.some((line) => /^After=.*\b(sysinit|basic|network)/.test(line)));
  for (const line of ['Wants=edgeward-firewall.service', 'After=edgeward-firewall.service']) {
    assert.ok(edge.includes(line), line);
  }
  // Both speak of the same edge, and nothing takes the rules away when one of them stops.
  const start = edge.find((line) => line.startsWith('ExecStart=')) ?? '';
  assert.ok(rules.includes(start.replace(' edge run ', ' edge rules ')));
  for (const line of [...rules, ...edge]) assert.doesNotMatch(line, /^(ExecStop|BindsTo|PartOf)/);
});

for (const name of ['edge', 'standby']) {
  test(`compiled code of the ${name} is kept where no other service and no other user can write`, () => {
    const lines = linesOf(`edgeward-${name}.service`);
    for (const line of [
      `CacheDirectory=edgeward/${name}`,
      'CacheDirectoryMode=0700',
      `Environment=NODE_COMPILE_CACHE=/var/cache/edgeward/${name}`,
    ]) {
      assert.ok(lines.includes(line), line);
    }
  });
}

test('the stand-in is there when the edge is not', () => {
  const edge = linesOf('edgeward-edge.service');
  const standby = linesOf('edgeward-standby.service');
  for (const line of ['Restart=always', 'RuntimeDirectoryPreserve=yes', 'WatchdogSec=10']) {
    assert.ok(standby.includes(line), line);
  }
  // Whatever happens to one of them happens to it alone.
  for (const line of [...standby, ...edge]) assert.doesNotMatch(line, /^(BindsTo|PartOf|Requires|Conflicts|ExecStop)/);
  assert.ok(!standby.some((line) => /^(After|Wants)=.*edgeward-edge/.test(line)));
  // Both speak of the same edge; what that one keeps is read-only for this one, but for a folder of its own.
  const start = edge.find((line) => line.startsWith('ExecStart=')) ?? '';
  assert.ok(standby.includes(start.replace(' edge run ', ' edge standby ')));
  assert.ok(edge.includes('StateDirectory=edgeward') && standby.includes('StateDirectory=edgeward/standby'));
  const writable = standby.filter((line) =>
    /^(ReadWritePaths|StateDirectory|CacheDirectory|LogsDirectory)=/.test(line),
  );
  assert.deepEqual(writable, ['StateDirectory=edgeward/standby', 'CacheDirectory=edgeward/standby']);
  for (const line of ['RuntimeDirectory=edgeward', 'RuntimeDirectoryPreserve=yes'])
    assert.ok(edge.includes(line), line);
});

/** The units with a program that exists here, in a folder of their own beside `more`; what systemd says of `top`. */
function verify(more: Readonly<Record<string, string>>, top: readonly string[]): [number | null, string] {
  const scratch = mkdtempSync(join(tmpdir(), 'ewu-'));
  try {
    for (const unit of units) {
      const text = readFileSync(join(folder, unit), 'utf8').replace(/^(ExecStart\w*)=\S+/gm, '$1=/bin/true');
      writeFileSync(join(scratch, unit), text.replace(/^Documentation=.*$/m, ''));
    }
    for (const [name, text] of Object.entries(more)) writeFileSync(join(scratch, name), text);
    const paths = top.map((unit) => join(scratch, unit));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' });
    return [status, stderr];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

test('systemd-analyze verify has nothing to say', (t) => {
  // The keys above are checked everywhere; this asks the program itself.
  if (!requires(t, 'systemd-analyze')) return;
  assert.deepEqual(verify({}, units), [0, '']);
});

// As cloud-init.service of Debian and Ubuntu: behind the network, before sysinit.target.
const cloudInit = `[Unit]
DefaultDependencies=no
After=network-pre.target
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/true
`;
const boot = (...wanted: string[]): string => `[Unit]\nWants=${wanted.join(' ')}\n`;

test('the boot has no cycle, also where something waits for the network before sysinit.target', (t) => {
  if (!requires(t, 'systemd-analyze')) return;
  const wanted = ['edgeward-firewall.service', 'edgeward-edge.service', 'cloud-init.service', 'sysinit.target'];
  const more = { 'cloud-init.service': cloudInit, 'boot.target': boot(...wanted) };
  assert.deepEqual(verify(more, ['boot.target']), [0, '']);
  // The question can be answered otherwise: the same rules behind sysinit.target.
  const late = readFileSync(join(folder, 'edgeward-firewall.service'), 'utf8')
    .replace(/^After=/m, 'After=sysinit.target ')
    .replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true')
    .replace(/^Documentation=.*$/m, '');
  const [, said] = verify({ ...more, 'late.service': late, 'boot.target': boot(...wanted, 'late.service') }, [
    'boot.target',
  ]);
  assert.match(said, /ordering cycle/);
});
