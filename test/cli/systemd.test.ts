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
  Unit: 'Description Documentation Wants After Before Conflicts DefaultDependencies',
  Service:
    'ExecStartPre ExecStart User Group StateDirectory StateDirectoryMode RuntimeDirectory RuntimeDirectoryMode LoadCredential Restart RestartSec TimeoutStopSec WatchdogSec NotifyAccess LimitNOFILE UMask AmbientCapabilities CapabilityBoundingSet NoNewPrivileges PrivateDevices PrivateTmp ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality RemoveIPC SystemCallArchitectures SystemCallFilter',
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
  // A service counts as started once its program is; only what runs before it holds up what is ordered behind it.
  const lines = linesOf('edgeward-edge.service');
  const start = lines.find((line) => line.startsWith('ExecStart=')) ?? '';
  assert.ok(lines.includes(start.replace('ExecStart=', 'ExecStartPre=').replace(' edge run ', ' edge rules ')));
  assert.ok(lines.some((line) => /^Before=.*\bnetwork-pre\.target\b/.test(line)));
});

test('systemd-analyze verify has nothing to say', (t) => {
  // The keys above are checked everywhere; this asks the program itself.
  if (!requires(t, 'systemd-analyze')) return;
  const scratch = mkdtempSync(join(tmpdir(), 'ewu-'));
  try {
    for (const unit of units) {
      const text = readFileSync(join(folder, unit), 'utf8').replace(/^(ExecStart\w*)=\S+/gm, '$1=/bin/true');
      writeFileSync(join(scratch, unit), text.replace(/^Documentation=.*$/m, ''));
    }
    const paths = units.map((unit) => join(scratch, unit));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
