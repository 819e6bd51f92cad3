// What everything on the edge stands on: who we are, what we remember, and what time it is.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { emitTo, type EmitEvent, openSpool, type Spool } from '../../audit/spool/index.ts';
import { type Boot, hostBoot, openTrustedClock, type TrustedClock } from '../../enforcer/activation/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { type FileSystem, nodeFiles } from '../../store/files.ts';
import { type EdgeConfig, edgePaths } from './config.ts';
import { openOwnIdentity, type OwnIdentity } from './identity.ts';

export interface EdgeCore {
  readonly config: EdgeConfig;
  readonly log: Logger;
  readonly own: OwnIdentity;
  readonly deviceId: string;
  readonly trustDomain: string;
  readonly spool: Spool;
  readonly emit: EmitEvent;
  /** The boot of this host. */
  readonly boot: Boot;
  /** Time that only signed messages raise. */
  readonly trusted: TrustedClock;
  /** What every durable store of the edge takes. */
  readonly stored: {
    readonly fs: FileSystem;
    readonly stateDir: string;
    readonly trustDomain: string;
    readonly anchors: OwnIdentity['anchors'];
    readonly emit: EmitEvent;
    readonly log: Logger;
  };
}

export async function openEdgeCore(config: EdgeConfig, log: Logger): Promise<EdgeCore> {
  const paths = edgePaths(config);
  mkdirSync(config.run, { recursive: true, mode: 0o755 });
  const own = await openOwnIdentity({ fs: nodeFiles, path: config.state });
  const { id, anchors } = own.current();
  const spool = await openSpool({
    fs: nodeFiles,
    directory: paths.spool,
    clock: systemClock,
    random: randomBytes,
    log,
    limits: { maskedKeys: config.audit.mask },
  });
  const emit = emitTo(spool);
  const stored = {
    fs: nodeFiles,
    stateDir: config.state,
    trustDomain: anchors.trustDomain,
    anchors: () => own.anchors(),
    emit,
    log,
  };
  const boot = await hostBoot(nodeFiles, randomBytes(16).toString('hex'));
  const trusted = await openTrustedClock({ ...stored, clock: systemClock, boot });
  return { config, log, own, deviceId: id.name, trustDomain: anchors.trustDomain, spool, emit, boot, trusted, stored };
}
