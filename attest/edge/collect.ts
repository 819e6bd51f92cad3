// Answers a challenge on the edge: measures, states, signs with the device key. Runs afresh for every challenge; a
// remembered measurement would attest the past.
import type { KeyObject } from 'node:crypto';
import { keyId, signJws } from '../../identity/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { encodePosture, EVIDENCE_TYPE, type Posture } from '../posture/posture.ts';
import type { Measured } from './measure-aside.ts';

export interface CollectorPorts {
  readonly clock: Pick<Clock, 'now'>;
  readonly measure: (signal?: AbortSignal) => Promise<Measured>;
  /** Private key of the certificate in use; asked each time, renewal replaces it. */
  readonly deviceKey: () => KeyObject;
  /** Hex digest of the active manifest; empty while none is active. */
  readonly activeBundle: () => string;
}

export interface CollectorSubject {
  readonly deviceId: string;
  /** Version of the enforcer. */
  readonly version: string;
  readonly platform: Posture['platform'];
}

/** Makes evidence (compact JWS) over a nonce. */
export type Collect = (nonce: Uint8Array, signal?: AbortSignal) => Promise<string>;

export function createCollector(ports: CollectorPorts, subject: CollectorSubject): Collect {
  return async (nonce, signal) => {
    const { program, executables } = await ports.measure(signal);
    const posture: Posture = {
      format: 1,
      deviceId: subject.deviceId,
      nonce: Buffer.from(nonce).toString('base64url'),
      collectedAt: ports.clock.now(),
      program: { digest: program, version: subject.version },
      executables,
      bundle: ports.activeBundle(),
      platform: subject.platform,
    };
    const key = ports.deviceKey();
    return await signJws({ key, keyId: keyId(key), typ: EVIDENCE_TYPE }, encodePosture(posture));
  };
}
