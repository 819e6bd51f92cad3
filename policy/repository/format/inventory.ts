// inventory/*.yaml: networks and devices. The only source of device ids, labels and addresses.
import { z } from 'zod';
import { address, cidr, id, label, macAddress, worded } from './scalars.ts';

const networkInterface = z.strictObject({
  name: worded(/^[a-zA-Z0-9_.-]{1,15}$/, 'the name of a network interface, at most 15 characters'),
  network: id,
  address,
  mac: macAddress.optional(),
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
      }),
    )
    .default([]),
});
