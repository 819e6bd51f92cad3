// The enforcer of test/envoy/plant.ts as a process that can be killed. Before an allow leaves, its path is in a file: what
// reached the web server and is not there was allowed by nobody. Arguments: address, folder with root.der and intermediate.der,
// file, transport. Prints a line when it listens; SIGUSR1 turns its health to NOT_SERVING and back.
import { openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { checkTransports, serveAuthz } from '../../enforcer/authz/index.ts';
import { plantPorts } from './plant.ts';

const [address = '', folder = '', file = '', carrier] = process.argv.slice(2);
const transport = checkTransports.find((name) => name === carrier);
if (transport === undefined) throw new Error(`no transport ${carrier}`);
const record = openSync(file, 'a');
const ports = plantPorts({
  root: readFileSync(join(folder, 'root.der')),
  intermediate: readFileSync(join(folder, 'intermediate.der')),
});
let serving = true;
process.on('SIGUSR1', () => {
  serving = !serving;
  process.stdout.write(`${serving ? 'serving' : 'not serving'}\n`);
});
await serveAuthz(
  {
    ...ports,
    decide: (request, abilities) => {
      const decision = ports.decide(request, abilities);
      if (decision.allow && request.operation.protocol === 'http') writeSync(record, `${request.operation.path}\n`);
      return decision;
    },
  },
  () => serving,
  { grpc: [address], forwardAuthSocket: undefined, transport },
);
process.stdout.write('listening\n');
