// edgeward control init: keys, database, first publisher, first administrator. Nothing is replaced that exists.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createAuthority, openAuthority } from '../../ca/cloud/index.ts';
import { certificatesToPem, createCsr, exportPkcs8Pem, generateKey } from '../../identity/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { readSecret } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/log.ts';
import { nodeFiles } from '../../store/files.ts';
import { lockInstance } from '../../store/instance-lock.ts';
import { writeCredential } from '../../cli/credential.ts';
import { type ControlConfig, controlPaths, loadControlConfig } from './config.ts';
import { type ControlRooms, openRooms } from './rooms.ts';

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

export const keyFileOf = async (config: ControlConfig) => ({
  fs: nodeFiles,
  path: controlPaths(config.state).keys,
  passphrase: await passphraseOf(config),
  clock: systemClock,
  random: randomBytes,
});

/**
 * A new credential of the administrator, for whoever holds the key file's passphrase: the way back in when every
 * operator's credential has expired. It is recorded in the log like the first one.
 */
export async function issueAdministrator(configFile: string, directory: string): Promise<{ expiresAt: number }> {
  const config = await loadControlConfig(configFile);
  const keyFile = await keyFileOf(config);
  // The log has one writer.
  const lock = lockInstance(config.state, 'a control plane');
  const authority = await openAuthority(keyFile);
  const rooms = await openRooms(config, authority, createLogger({ name: 'control', level: 'warn' }));
  try {
    await writeAdministrator(config, rooms, directory);
  } finally {
    await rooms.close();
    lock.release();
  }
  return { expiresAt: Date.now() + adminTtlMs };
}

async function writeAdministrator(config: ControlConfig, rooms: ControlRooms, directory: string): Promise<void> {
  const keys = generateKey();
  const issued = await rooms.ca.bootstrapAdministrator({ name: 'admin', csrDer: createCsr(keys) });
  writeCredential(directory, {
    key: exportPkcs8Pem(keys.privateKey),
    chain: certificatesToPem(issued.chain),
    roots: certificatesToPem([rooms.authority.root.certificate.raw]),
    control: `${JSON.stringify({ address: config.advertise.edges, trustDomain: config.trustDomain })}\n`,
  });
}

export async function initControlPlane(configFile: string, publisherFile: string | undefined): Promise<Initialized> {
  const config = await loadControlConfig(configFile);
  const publisher = publisherFile === undefined ? undefined : readFileSync(publisherFile, 'utf8').trim();
  const paths = controlPaths(config.state);
  const keyFile = await keyFileOf(config);
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const authority = await createAuthority(keyFile, config.trustDomain);
  const rooms = await openRooms(config, authority, createLogger({ name: 'control', level: 'warn' }));
  try {
    if (publisher !== undefined) await rooms.ca.addPublisher({ publicKeyJwk: publisher, by: 'bootstrap' });
    await writeAdministrator(config, rooms, paths.admin);
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
