// One interface whose only grant may be used so often and no more.
import { type Slice, sliceSchema } from '../../policy/bundle/index.ts';

export const allUses = 400;

export function limitedSlice(): Slice {
  return sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'plc-1',
    devices: [],
    interfaces: [
      {
        name: 'web',
        device: 'plc-1',
        protocol: 'http',
        transport: 'tcp',
        port: 443,
        operations: [
          { name: 'view', protocol: 'http', methods: ['GET'], paths: ['/status'], class: 'normal', island: false },
        ],
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/web.yaml:1',
      },
    ],
    grants: [
      {
        id: 'limited',
        subjects: ['gateway-1'],
        interface: 'web',
        device: 'plc-1',
        operations: ['view'],
        binding: 'svid',
        conditions: { attestation: ['tpm'] },
        uses: allUses,
        place: 'grants/web.yaml:1',
      },
    ],
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  });
}
