// An edge in small: real engine, real counts on a real disk, the decision path of authz. Asks as fast as it can and
// prints a line for each allow, after the answer; ends by itself when everything is used up. Argument: state directory.
import { createDecide } from '../../enforcer/activation/index.ts';
import { authorize, type AuthzPorts } from '../../enforcer/authz/authorize.ts';
import { openUseLedger } from '../../enforcer/usage/index.ts';
import type { VerifiedBundle } from '../../policy/bundle/index.ts';
import { compileSlice, subjectAttributes } from '../../policy/engine/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeFiles } from '../../store/files.ts';
import { silent } from '../activation/world.ts';
import { limitedSlice } from './limited-slice.ts';

const [stateDir = ''] = process.argv.slice(2);
const time = () => ({ now: Date.now(), trusted: true });
const emit = () => Promise.resolve();
const ledger = await openUseLedger({ fs: nodeFiles, stateDir, clock: systemClock, time, emit, log: silent });

const { now } = time();
const manifest = { issuedAt: now - 1_000, softExpiry: now + 86_400_000, hardExpiry: now + 2 * 86_400_000 };
const engine = compileSlice(limitedSlice(), { digest: '', ...manifest });
const active = { engine, bundle: { manifest } as VerifiedBundle };
const ports: AuthzPorts = {
  decide: createDecide(() => active, time),
  usage: () => ledger.claim(),
  identify: () => ({
    id: 'gateway-1',
    binding: 'svid',
    state: 'trusted',
    attributes: subjectAttributes({ attestationClass: 'tpm', attestedAt: now, risk: 0, reduced: false, asOf: now }),
  }),
  log: { note: () => undefined, keep: emit },
  auditDurable: () => false,
  now: () => time().now,
};
const question = {
  interface: 'web',
  operation: { protocol: 'http', method: 'GET', path: '/status' },
  peer: { principal: 'spiffe://plant.example/device/gateway-1' },
  connection: '',
  source: 'ext-authz',
} as const;

async function client(): Promise<void> {
  for (;;) {
    const { decision } = await authorize(ports, question);
    if (!decision.allow) return void process.stdout.write(`denied ${decision.condition ?? decision.reason}\n`);
    process.stdout.write('allowed\n');
  }
}
await Promise.all([client(), client(), client()]);
