// Configuration of an edge: one YAML file, unknown keys refused, EDGEWARD_* variables on top. Every key is documented in
// examples/config/edge.yaml.
import { isIP } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { isDecisionPointUrl } from '../../enforcer/authz/index.ts';
import { attributeNamePattern } from '../../policy/bundle/index.ts';
import { attributeNames } from '../../policy/engine/index.ts';
import { eventFields } from '../../audit/spool/index.ts';
import { checkTransports } from '../../enforcer/authz/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { loadConfig } from '../../runtime/config.ts';

/** What a rule can name: no zone, not IPv4-mapped. Found out here, because a plan that cannot be made leaves no rules. */
export const isPlainAddress = (text: string): boolean =>
  isIP(text) !== 0 && !text.includes('%') && !/^::ffff:/i.test(text);
const plainAddress = z.string().refine(isPlainAddress, 'expected a plain IPv4 or IPv6 address');
const address = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}$/, 'expected host:port');
const controlAddress = address.refine((text) => {
  const [, host = '', portNumber = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
  return Number(portNumber) >= 1 && Number(portNumber) <= 65_535 && (!/[:%]/.test(host) || isPlainAddress(host));
}, 'expected name:port, IPv4:port or [IPv6]:port');
const isLoopback = (text: string): boolean => /^(127\.\d+\.\d+\.\d+|\[::1\]):/.test(text);
const port = z.int().min(1).max(65535);

/** What an AuthZEN caller may be trusted to say; state, attestation and risk of a device come from signed states alone. */
export function isAssertable(path: string): boolean {
  const [, source, name = ''] = /^(subject|resource|context)\.(.+)$/.exec(path) ?? [];
  const own: readonly string[] = Object.values(attributeNames);
  return source !== undefined && attributeNamePattern.test(name) && !own.includes(name);
}

/** A SPIFFE ID that a proxy can have, in its one spelling. */
export function isProxyId(text: string): boolean {
  try {
    const { kind, uri } = parseSpiffeId(text);
    return uri === text && (kind === 'device' || kind === 'workload');
  } catch {
    return false;
  }
}

/** How far above a proxy's port its stand-in listens, where nothing else is said. */
const STANDBY_PORTS_ABOVE = 10_000;

/** A listener that another one holds would leave an interface without its proxy, or without its stand-in. */
function refuseTakenPorts(
  {
    proxies,
    egress,
  }: {
    readonly proxies: readonly { readonly interface: string; readonly listen: number; readonly standby: number }[];
    readonly egress: readonly { readonly interface: string; readonly listen: number }[];
  },
  context: z.RefinementCtx,
): void {
  const taken = new Map<number, string>();
  for (const [at, proxy] of proxies.entries()) {
    for (const key of ['listen', 'standby'] as const) {
      const path = ['proxies', at, key];
      const before = taken.get(proxy[key]);
      if (proxy[key] > 65_535) {
        context.addIssue({ code: 'custom', path, message: `port ${proxy[key]} is none: name a port for the stand-in` });
      }
      if (before !== undefined) {
        context.addIssue({ code: 'custom', path, message: `port ${proxy[key]} is taken by ${before}` });
      }
      taken.set(proxy[key], `${key} of ${proxy.interface}`);
    }
  }
  for (const [at, { interface: name, listen }] of egress.entries()) {
    const before = taken.get(listen);
    if (before !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['egress', at, 'listen'],
        message: `port ${listen} is taken by ${before}`,
      });
    }
    taken.set(listen, `egress to ${name}`);
  }
}

const edgeConfigKeys = z.strictObject({
  state: z.string().default('/var/lib/edgeward'),
  run: z.string().default('/run/edgeward'),
  control: z.strictObject({ address: controlAddress }),
  authz: z
    .strictObject({
      tcp: address.optional(),
      forwardAuthTcp: address.optional(),
      tls: z
        .strictObject({
          listen: address,
          proxies: z
            .array(z.string().refine(isProxyId, 'expected the SPIFFE ID of a device or of a workload, exactly'))
            .min(1),
        })
        .optional(),
      transport: z.enum(checkTransports).default('h2'),
      processes: z.int().min(1).max(16).default(1),
      jwtSvid: z
        .strictObject({
          bundle: z.string().startsWith('/'),
          audiences: z.array(z.string().min(1)).min(1),
          issuer: z.string().min(1).optional(),
        })
        .optional(),
      socketMode: z
        .string()
        .regex(/^0[0-7]{3}$/)
        .default('0660'),
      authzen: z
        .strictObject({
          socket: z.string().startsWith('/').optional(),
          tcp: address.optional(),
          tokenFile: z.string().startsWith('/').optional(),
          url: z
            .string()
            .refine(isDecisionPointUrl, 'expected an https URL without query, or an http URL of this host')
            .optional(),
          binding: z.enum(['svid', 'port+mac+ip', 'ip']).optional(),
          asserts: z
            .array(
              z
                .string()
                .refine(
                  isAssertable,
                  'expected context.<name>, resource.<name> or subject.<name>, and nothing that signed states say',
                ),
            )
            .default([]),
          custom: z.array(z.string().regex(attributeNamePattern)).default([]),
        })
        .refine(
          ({ tcp, tokenFile }) => (tcp === undefined) === (tokenFile === undefined),
          'tcp needs tokenFile: every process of this host can dial it',
        )
        .optional(),
    })
    .prefault({}),
  firewall: z
    .strictObject({
      mode: z.enum(['enforce', 'simulate', 'proxies', 'off']).default('enforce'),
      fallback: z.enum(['refuse', 'proxies']).default('refuse'),
      backend: z.enum(['auto', 'netlink', 'nft']).default('auto'),
      dns: z.array(plainAddress).default([]),
    })
    .prefault({}),
  proxies: z
    .array(
      z
        .strictObject({
          interface: z.string(),
          listen: port,
          standby: port.optional(),
          upstream: address.optional(),
          learn: z.boolean().default(false),
        })
        .transform((proxy) => ({ ...proxy, standby: proxy.standby ?? proxy.listen + STANDBY_PORTS_ABOVE })),
    )
    .default([]),
  egress: z
    .array(z.strictObject({ interface: z.string().min(1), device: z.string().min(1), listen: port }))
    .default([]),
  brokers: z
    .array(
      z.strictObject({
        interface: z.string().min(1),
        address: address.refine(isLoopback, 'expected an address of this host: passwords go over it'),
        admin: z.strictObject({ userName: z.string().min(1), passwordFile: z.string().startsWith('/') }),
        intervalSeconds: z.int().min(5).max(3_600).default(60),
      }),
    )
    .refine((list) => new Set(list.map((one) => one.interface)).size === list.length, 'expected each interface once')
    .default([]),
  attest: z.strictObject({ executables: z.array(z.string().startsWith('/')).default([]) }).prefault({}),
  audit: z.strictObject({ mask: z.array(z.enum(eventFields)).default([]) }).prefault({}),
  diagnostics: z.int().min(0).max(65535).default(9181),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

export const edgeConfigSchema = edgeConfigKeys.superRefine(refuseTakenPorts);

export type EdgeConfig = z.infer<typeof edgeConfigSchema>;

export const loadEdgeConfig = async (file: string): Promise<EdgeConfig> => await loadConfig(file, edgeConfigSchema);

/**
 * Where an edge keeps what; the layout that enrolment, activation and spool share. Sockets for proxies are numbered from the
 * second process on (`index`).
 */
export const edgePaths = (config: Pick<EdgeConfig, 'state' | 'run'>, index = 1) => {
  const number = index === 1 ? '' : `-${index}`;
  return {
    identity: join(config.state, 'identity'),
    spool: join(config.state, 'spool'),
    firewall: join(config.state, 'firewall'),
    grpcSocket: join(config.run, `authz${number}.sock`),
    authzenSocket: join(config.run, 'authzen.sock'),
    forwardAuthSocket: join(config.run, `forward-auth${number}.sock`),
    breakGlassSocket: join(config.run, 'break-glass.sock'),
    localSocket: join(config.run, 'local.sock'),
    standbySocket: join(config.run, 'standby.sock'),
    standby: join(config.state, 'standby'),
    standbyEvents: join(config.state, 'standby', 'events'),
  };
};
