// Configuration of the control plane: one YAML file, unknown keys refused, EDGEWARD_* variables on top. Every key is
// documented in examples/config/control.yaml.
import { join } from 'node:path';
import { z } from 'zod';
import { loadConfig } from '../../runtime/config.ts';

const address = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}$/, 'expected host:port');

export const controlConfigSchema = z.strictObject({
  trustDomain: z.string().regex(/^[a-z0-9._-]{1,255}$/, 'lower case letters, digits, dots, dashes, underscores'),
  state: z.string().default('/var/lib/edgeward-control'),
  /** `sqlite:///path/file.db` or `postgres://user@host/db`; default: SQLite in the state directory. */
  database: z.string().optional(),
  passphraseFile: z.string().optional(),
  listen: z
    .strictObject({ enrolment: address.default('0.0.0.0:7442'), edges: address.default('0.0.0.0:7443') })
    .prefault({}),
  /** How edges and operators reach the listeners. */
  advertise: z.strictObject({ enrolment: address, edges: address }),
  diagnostics: z.int().min(0).max(65535).default(9180),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  findings: z.strictObject({ webhook: z.url().optional(), syslog: z.string().optional() }).prefault({}),
  attestation: z
    .strictObject({ intervalSeconds: z.int().min(1).default(60), maxAgeSeconds: z.int().min(10).default(900) })
    .prefault({}),
  limits: z
    .strictObject({ maxHandshakesInFlight: z.int().min(1).default(32), maxConnections: z.int().min(1).default(20_000) })
    .prefault({}),
});

export type ControlConfig = z.infer<typeof controlConfigSchema>;

export const loadControlConfig = async (file: string): Promise<ControlConfig> =>
  await loadConfig(file, controlConfigSchema);

export const databaseUrl = (config: ControlConfig): string =>
  config.database ?? `sqlite://${join(config.state, 'control.db')}`;

/** Where the control plane keeps what. */
export const controlPaths = (state: string) => ({
  keys: join(state, 'keys.sealed'),
  admin: join(state, 'admin'),
});
