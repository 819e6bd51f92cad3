// inventory/*.yaml: networks and devices. The only source of device ids, labels and addresses.
import { z } from 'zod';
import { cgroupPattern, MAX_WORKLOADS } from '../../bundle/firewall.ts';
import { address, cidr, id, label, macAddress, worded } from './scalars.ts';

const interfaceName = worded(/^[a-zA-Z0-9_.-]{1,15}$/, 'the name of a network interface, at most 15 characters');

const networkInterface = z.strictObject({
  name: interfaceName,
  network: id,
  address,
  mac: macAddress.optional(),
});

/** A program of the device, as the kernel tells it from the others. */
const workload = z
  .strictObject({
    name: id,
    uid: z
      .int()
      .min(0)
      .max(2 ** 32 - 2)
      .optional(),
    cgroup: worded(cgroupPattern, 'a path below /sys/fs/cgroup such as system.slice/historian.service')
      .max(512)
      .optional(),
    interface: interfaceName.optional(),
  })
  .refine((entry) => [entry.uid, entry.cgroup, entry.interface].filter((key) => key !== undefined).length === 1, {
    path: ['name'],
    message: 'expected exactly one of uid, cgroup, interface beside the name',
  });

export const inventorySchema = z.strictObject({
  networks: z.array(z.strictObject({ name: id, cidrs: z.array(cidr).min(1).max(16) })).default([]),
  devices: z
    .array(
      z.strictObject({
        // The control plane's own events stand in the log under this name.
        id: id.refine((name) => name !== 'control', 'expected another name: "control" is the control plane itself'),
        labels: label.default({}),
        interfaces: z.array(networkInterface).max(16).default([]),
        workloads: z.array(workload).max(MAX_WORKLOADS).default([]),
      }),
    )
    .default([]),
});

export type WorkloadEntry = z.infer<typeof workload>;
