// Runs on the control plane's host (see operator.ts) and asks its administration service what it is told on standard
// input, a JSON object a line. Usage: operator-agent.ts CREDENTIAL_DIRECTORY
import { createInterface } from 'node:readline';
import { connectAdmin } from '../../cli/admin-command.ts';
import type { DeviceView, OperatorRequest, PolicyView } from './operator.ts';

const admin = connectAdmin(process.argv[2] ?? '');
const limits = { timeoutMs: 5_000 };

async function perform(request: OperatorRequest): Promise<unknown> {
  switch (request.op) {
    case 'create-token':
      return (await admin.createToken({ deviceId: request.device, reimage: request.reimage }, limits)).joinLine;
    case 'device': {
      const [found] = (await admin.listDevices({ deviceId: request.device }, limits)).devices;
      return { state: found?.state ?? '', attestationClass: found?.attestationClass ?? '' } satisfies DeviceView;
    }
    case 'release':
      await admin.releaseDevice({ deviceId: request.device, reason: request.reason, full: request.full }, limits);
      return null;
    case 'policy-status': {
      const status = await admin.getPolicyStatus({}, limits);
      const enforced = Object.fromEntries(status.edges.map((edge) => [edge.deviceId, Number(edge.enforcedVersion)]));
      return { version: Number(status.version), enforced } satisfies PolicyView;
    }
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, ...request } = JSON.parse(line) as OperatorRequest & { id: number };
    perform(request as OperatorRequest).then(
      (result) => process.stdout.write(`${JSON.stringify({ id, result })}\n`),
      (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
    );
  })
  .on('close', () => admin.close());
