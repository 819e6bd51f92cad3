// A whole decision of the engine (step 0 to 5: interface, operation, freshness, state, denies, grants) on an HTTP
// interface with many grants, which is more than one call of a Casbin model: told so that nobody confuses the two.
import { sliceSchema } from '../../policy/bundle/slice.ts';
import { type AccessRequest, compileSlice, type Engine, subjectAttributes } from '../../policy/engine/index.ts';

export interface WholeEngineCost {
  readonly grants: number;
  /** CPU microseconds a decision, mean of the best round. */
  readonly us: number;
  readonly requests: number;
  readonly allowedShare: number;
}

const now = Date.UTC(2026, 10, 22, 12);
const OPERATIONS = 50;

export function wholeEngine(grants: number, requests: number, rounds: number): WholeEngineCost {
  const engine = engineWith(grants);
  let best = Number.POSITIVE_INFINITY;
  let allowed = 0;
  for (let round = 0; round < rounds; round++) {
    const asked = Array.from({ length: requests }, (_, n) => requestFor(n, grants, round));
    allowed = 0;
    const before = process.cpuUsage();
    for (const request of asked) if (engine.decide(request, 'fresh').allow) allowed++;
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / requests);
  }
  return { grants, us: best, requests, allowedShare: allowed / requests };
}

/** Every grant gives one device one operation. */
function engineWith(grants: number): Engine {
  const slice = sliceSchema.parse({
    format: 1,
    trustDomain: 'plant.example',
    device: 'hmi-1',
    devices: [],
    interfaces: [
      {
        name: 'hmi',
        device: 'hmi-1',
        protocol: 'http',
        transport: 'tcp',
        port: 443,
        operations: Array.from({ length: OPERATIONS }, (_, n) => ({
          name: `operation-${n}`,
          protocol: 'http',
          methods: ['GET'],
          paths: [`/line/${n}/cell/*/status`, `/area/${n}/**`],
          class: 'normal',
          island: false,
        })),
        onEnforcerDeath: 'closed',
        auditDurable: false,
        place: 'interfaces/hmi.yaml:1',
      },
    ],
    grants: Array.from({ length: grants }, (_, n) => ({
      id: `grant-${n}`,
      subjects: [`device-${Math.floor(n / OPERATIONS)}`],
      interface: 'hmi',
      device: 'hmi-1',
      operations: [`operation-${n % OPERATIONS}`],
      binding: 'svid',
      conditions: { maxRisk: 50 },
      place: `grants/hmi.yaml:${n + 1}`,
    })),
    denies: [],
    firewall: [],
    casbin: [],
    selfTest: [],
  });
  return compileSlice(slice, {
    digest: 'ab'.repeat(32),
    softExpiry: now + 86_400_000,
    hardExpiry: now + 7 * 86_400_000,
  });
}

/** Every second one is of a device that has no grant, or of one whose risk is too high. */
function requestFor(n: number, grants: number, round: number): AccessRequest {
  const devices = Math.ceil(grants / OPERATIONS);
  const operation = n % OPERATIONS;
  const known = n % 4 === 1 ? 'stranger' : 'device';
  const path = n % 3 === 0 ? `/area/${operation}/tank/${n}-${round}` : `/line/${operation}/cell/${n}-${round}/status`;
  return {
    subject: {
      id: `${known}-${Math.floor(n / OPERATIONS) % devices}`,
      binding: 'svid',
      state: 'trusted',
      attributes: subjectAttributes({
        attestationClass: 'tpm',
        attestedAt: now,
        risk: n % 4 === 3 ? 80 : 10,
        reduced: false,
        asOf: now,
      }),
    },
    operation: { protocol: 'http', method: 'GET', path },
    resource: { interface: 'hmi', attributes: {} },
    context: { time: now, source: 'forward-auth', connection: '192.0.2.7:40000', attributes: {} },
  };
}
