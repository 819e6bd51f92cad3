// Response in the control plane: device states and orders, and the playbooks that move them.
export {
  createDevices,
  type Change,
  type DevicePorts,
  type DeviceRow,
  type Devices,
  type EmitResponseEvent,
  type Permission,
  type SignPayload,
} from './devices.ts';
export { responseMigrations, type ResponseTables } from './migrations.ts';
export { createPlaybooks, type FindingSignal, type PlaybookPorts, type Playbooks } from './playbooks.ts';
