// What the control plane says of the fleet, asked with the edgeward command.
import type { Fleet } from '../fleet.ts';
import { edges } from '../site.ts';

/** Every edge acknowledged the published version and is trusted. */
export async function allEnforce(fleet: Fleet): Promise<boolean> {
  const { version, edges: rows } = await fleet.admin<{
    version: number;
    edges: { deviceId: string; enforcedVersion: number }[];
  }>('policy', 'status');
  if (!edges.every((name) => rows.some((row) => row.deviceId === name && row.enforcedVersion === version)))
    return false;
  const { devices } = await fleet.admin<{ devices: { deviceId: string; state: string }[] }>('device', 'list');
  return edges.every((name) => devices.some((device) => device.deviceId === name && device.state === 'trusted'));
}

export async function stateOf(fleet: Fleet, device: string): Promise<string> {
  const { device: found } = await fleet.admin<{ device: { state: string } | null }>('device', 'show', device);
  return found?.state ?? '';
}
