// edgeward device list|show|timeline|quarantine|recover|release|revoke
import type { Command } from 'commander';
import { type AdminClient, adminCommand, withAdmin } from './admin-command.ts';
import { cliErrors } from './errors.ts';
import { table, timeText } from './io.ts';
import { notBlank } from './options.ts';

type ListedDevice = Awaited<ReturnType<AdminClient['listDevices']>>['devices'][number];

const columns = ['device', 'state', 'island', 'reduced', 'attested', 'connected', 'last seen', 'certificate until'];
const row = (device: ListedDevice) => [
  device.deviceId,
  device.state,
  islandOf(device),
  device.reduced ? 'yes' : 'no',
  Number(device.attestedAtMs) === 0 ? 'never' : `${device.attestationClass} ${timeText(device.attestedAtMs)}`,
  device.connected ? 'yes' : 'no',
  timeText(device.lastSeenMs),
  timeText(device.certificateExpiresAtMs),
];

/** What the device says, and what it has not said yet. */
function islandOf({ island, islandOrdered }: ListedDevice): string {
  if (island !== '') return island;
  return islandOrdered ? 'ordered, not confirmed' : 'no';
}

const noDevice = (id: string) =>
  cliErrors.error('CLI_NOT_FOUND', `the inventory has no device ${id}`, {
    remedy: 'List the devices with: edgeward device list; a new one comes from the inventory of a published policy.',
  });

export function registerDevices(program: Command): void {
  const device = program.command('device').description('devices: what they are, and containing and releasing them');

  adminCommand(device.command('list'))
    .description('list the devices of the inventory with their states')
    .action(
      withAdmin(async ({ admin, io }) => {
        const { devices } = await admin.listDevices({});
        io.result({ devices }, table(columns, devices.map(row), 'no devices: publish a policy with an inventory'));
      }),
    );

  adminCommand(device.command('show'))
    .description('show one device')
    .argument('<device>')
    .action(
      withAdmin(async ({ admin, io }, deviceId: string) => {
        const { devices } = await admin.listDevices({ deviceId });
        const [found] = devices;
        if (found === undefined) throw noDevice(deviceId);
        const labels = Object.entries(found.labels).map(([key, value]) => `${key}=${value}`);
        io.result(
          { device: found },
          `${table(columns, [row(found)], '')}\n${found.spiffeId}\nlabels ${labels.join(' ') || '-'}`,
        );
      }),
    );

  adminCommand(device.command('timeline'))
    .description('every change of state of a device, with cause and author')
    .argument('<device>')
    .action(
      withAdmin(async ({ admin, io }, deviceId: string) => {
        const { transitions } = await admin.getDeviceTimeline({ deviceId });
        if (transitions.length === 0 && (await admin.listDevices({ deviceId })).devices.length === 0)
          throw noDevice(deviceId);
        const rows = transitions.map((entry) => [timeText(entry.atMs), entry.from, entry.to, entry.cause, entry.by]);
        io.result(
          { device: deviceId, transitions },
          table(['at', 'from', 'to', 'cause', 'by'], rows, `nothing happened to ${deviceId} yet`),
        );
      }),
    );

  const verbs = {
    quarantine: { text: 'cut a device off: control plane and island operations only', call: 'quarantineDevice' },
    recover: {
      text: 'begin recovery (hardware class; the software class recovers by re-imaging)',
      call: 'recoverDevice',
    },
    revoke: { text: 'revoke the identity for good; the device becomes a tombstone', call: 'revokeDevice' },
  } as const;
  for (const [name, { text, call }] of Object.entries(verbs)) {
    adminCommand(device.command(name))
      .description(text)
      .argument('<device>')
      .requiredOption('--reason <text>', 'why; goes into order, history and audit', notBlank)
      .action(
        withAdmin(async ({ admin, io }, deviceId: string, options: { reason: string }) => {
          const { orderSequence } = await admin[call]({ deviceId, reason: options.reason });
          const done = Number(orderSequence) === 0 ? 'nothing to do, it is so already' : `order ${orderSequence}`;
          io.result({ ok: true, device: deviceId, orderSequence }, `${name} ${deviceId}: ${done}`);
        }),
      );
  }

  adminCommand(device.command('release'))
    .description('back to trusted: a re-imaged device with a new key and an affirming appraisal')
    .argument('<device>')
    .requiredOption('--reason <text>', 'why; goes into order, history and audit', notBlank)
    .option('--full', 'give a released device its sensitive grants back', false)
    .action(
      withAdmin(async ({ admin, io }, deviceId: string, options: { reason: string; full: boolean }) => {
        const { orderSequence } = await admin.releaseDevice({ deviceId, reason: options.reason, full: options.full });
        const how = options.full ? 'with all its grants' : 'without its sensitive grants (--full gives them back)';
        io.result({ ok: true, device: deviceId, orderSequence, full: options.full }, `released ${deviceId} ${how}`);
      }),
    );
}
