// The device's side of the authority.
export { enroll, type Enrolment } from './enroll.ts';
export { enrolmentNetwork, type EnrolmentNetwork } from './enrolment-network.ts';
export {
  abandonRenewal,
  type DeviceIdentity,
  findIdentity,
  isEnrolled,
  loadIdentity,
  saveAnchors,
  type StateDirectory,
} from './identity-directory.ts';
export { prepareRenewal, renewalDue, renewalTime, saveRenewed } from './renewal.ts';
