// Response in the control plane: device states and orders, and the playbooks that move them.
export {
  createDevices,
  type Change,
  type DevicePorts,
  type DeviceRow,
  type Devices,
  type EmitResponseEvent,
  type Permission,
} from './devices.ts';
export { responseMigrations, type ResponseTables } from './migrations.ts';
export { createPlaybooks, type FindingSignal, type PlaybookPorts, type Playbooks } from './playbooks.ts';
export type { SignPayload } from './orders.ts';
export { createSites, type BlockRow, type SitePorts, type Sites, type Target } from './sites.ts';
export { createReports, type ReportedRecord, type Reports } from './reports.ts';
