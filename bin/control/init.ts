// edgeward control init: keys, database, first publisher, first administrator. Nothing is replaced that exists.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createAuthority } from '../../ca/cloud/index.ts';
import { certificatesToPem, createCsr, exportPkcs8Pem, generateKey } from '../../identity/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { readSecret } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { writeCredential } from '../../cli/credential.ts';
import { type ControlConfig, controlPaths, loadControlConfig } from './config.ts';
import { openRooms } from './rooms.ts';

export interface Initialized {
  readonly trustDomain: string;
  readonly rootFingerprint: string;
  readonly keyFile: string;
  readonly adminDirectory: string;
  readonly adminExpiresAt: number;
}

const adminTtlMs = 24 * 3_600_000;

export const passphraseOf = async (config: ControlConfig): Promise<string> =>
  await readSecret({ file: config.passphraseFile, env: 'EDGEWARD_PASSPHRASE' });

export async function initControlPlane(configFile: string, publisherFile: string | undefined): Promise<Initialized> {
  const config = await loadControlConfig(configFile);
  const publisher = publisherFile === undefined ? undefined : readFileSync(publisherFile, 'utf8').trim();
  const paths = controlPaths(config.state);
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const authority = await createAuthority(
    {
      fs: nodeFiles,
      path: paths.keys,
      passphrase: await passphraseOf(config),
      clock: systemClock,
      random: randomBytes,
    },
    config.trustDomain,
  );
  const rooms = await openRooms(config, authority, createLogger({ name: 'control', level: 'warn' }));
  try {
    if (publisher !== undefined) await rooms.ca.addPublisher({ publicKeyJwk: publisher, by: 'bootstrap' });
    const keys = generateKey();
    const issued = await rooms.ca.bootstrapAdministrator({ name: 'admin', csrDer: createCsr(keys) });
    writeCredential(paths.admin, {
      key: exportPkcs8Pem(keys.privateKey),
      chain: certificatesToPem(issued.chain),
      roots: certificatesToPem([authority.root.certificate.raw]),
      control: `${JSON.stringify({ address: config.advertise.edges, trustDomain: config.trustDomain })}\n`,
    });
  } finally {
    await rooms.close();
  }
  return {
    trustDomain: config.trustDomain,
    rootFingerprint: authority.rootFingerprint,
    keyFile: paths.keys,
    adminDirectory: paths.admin,
    adminExpiresAt: Date.now() + adminTtlMs,
  };
}
