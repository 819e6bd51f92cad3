// The edge's own question to its resolvers, asked inside a host of the cell: node ask-name.ts RESOLVER NAME FAMILY
import { askResolvers } from '../../bin/edge/ask-names.ts';

const [resolver = '', name = '', family] = process.argv.slice(2);
const answers = await askResolvers([resolver])(name, family === '6' ? 6 : 4, AbortSignal.timeout(5_000));
process.stdout.write(JSON.stringify(answers));
