// The HTTP proxy in front of a server, with a policy of its own: `/public/**` may be read and written, and what is uploaded
// to `/upload/**` has a bound; `/admin/**` is nobody's. Time is a fake clock.
import type { SliceInterface } from '../../policy/bundle/index.ts';
import { sliceSchema } from '../../policy/bundle/slice.ts';
import { httpProtocol } from '../../enforcer/proxy/http/protocol.ts';
import type { ProxyOptions } from '../../enforcer/proxy/proxy.ts';
import { decideBySlice, readOnlySlice, world, type World } from './world.ts';

const operation = (name: string, paths: string[], more: object = {}): object => ({
  name,
  protocol: 'http',
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
  paths,
  class: 'normal',
  island: false,
  ...more,
});

export const maxUpload = 10_000;

export function httpSlice(more: object = {}): typeof readOnlySlice {
  return sliceSchema.parse({
    ...readOnlySlice,
    interfaces: [
      {
        name: 'hmi-web',
        device: 'plc-1',
        protocol: 'http',
        transport: 'tcp',
        port: 8080,
        operations: [
          operation('public', ['/public/**']),
          operation('upload', ['/upload/**'], { methods: ['POST'], maxBodyBytes: maxUpload }),
          operation('rpc', ['/plant.Lines/*'], { methods: ['POST'] }),
          operation('admin', ['/admin/**', '/plant.Admin/*'], { class: 'sensitive' }),
        ],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/hmi.yaml:3',
        ...more,
      },
    ],
    grants: [
      {
        id: 'gateway-sees',
        subjects: ['gateway-1'],
        interface: 'hmi-web',
        device: 'plc-1',
        operations: ['public', 'upload', 'rpc'],
        binding: 'ip',
        conditions: {},
        place: 'grants/hmi.yaml:2',
      },
    ],
  });
}

export async function httpWorld(
  upstreamPort: number,
  more: Partial<ProxyOptions> = {},
  slice = httpSlice(),
): Promise<World> {
  const entryOf = (name: string): SliceInterface | undefined => slice.interfaces.find((entry) => entry.name === name);
  return await world(
    upstreamPort,
    { decide: decideBySlice(slice), interfaceOf: () => 'hmi-web', entryOf, ...more },
    httpProtocol,
  );
}
