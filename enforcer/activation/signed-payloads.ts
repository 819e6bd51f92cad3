// The payloads of signed states, parsed strictly: an unknown field, state or class is refused, never skipped.
import {
  type DeviceState,
  DeviceStatesSchema,
  RevocationsSchema,
} from '../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { decodeMessage } from '../../runtime/grpc-wire.ts';
import { idPattern } from '../../policy/bundle/index.ts';
import { activationErrors } from './errors.ts';
import { MAX_STATE_ENTRIES } from './limits.ts';
import type { ReadState } from './signed-state.ts';
import { signedStates } from './subject-state.ts';

const attestationClasses: ReadonlySet<string> = new Set(['none', 'software', 'idevid', 'tpm']);

export function readDeviceStates(payload: Uint8Array): ReadState<ReadonlyMap<string, DeviceState>> {
  const { trustDomain, version, issuedAtMs, devices } = decodeMessage(DeviceStatesSchema, payload);
  requireBounded(devices.length);
  const value = new Map<string, DeviceState>();
  for (const device of devices) {
    requireDevice(device);
    if (value.has(device.deviceId)) throw invalid(`${device.deviceId} stands twice in the device states`);
    value.set(device.deviceId, device);
  }
  return { trustDomain, version, issuedAtMs, value };
}

function requireDevice({ deviceId, state, attestationClass, attestedAtMs, risk }: DeviceState): void {
  if (!idPattern.test(deviceId)) throw invalid('a device state is of no device');
  if (!signedStates.has(state)) throw invalid(`the state of ${deviceId} is none that this edge knows`);
  if (!attestationClasses.has(attestationClass)) {
    throw invalid(`the attestation class of ${deviceId} is none that this edge knows`);
  }
  if (risk > 100 || attestedAtMs < 0n || attestedAtMs > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(`risk or time of the attestation of ${deviceId} is out of range`);
  }
}

export function readRevocations(payload: Uint8Array): ReadState<ReadonlySet<string>> {
  const { trustDomain, version, issuedAtMs, serials } = decodeMessage(RevocationsSchema, payload);
  requireBounded(serials.length);
  if (serials.some((serial) => !/^[0-9a-f]{1,40}$/.test(serial))) throw invalid('a serial is not lower case hex');
  return { trustDomain, version, issuedAtMs, value: new Set(serials) };
}

function requireBounded(entries: number): void {
  if (entries > MAX_STATE_ENTRIES) throw invalid(`${entries} entries in one state`);
}

function invalid(message: string): Error {
  return activationErrors.error('ORDERS_INVALID', message);
}
