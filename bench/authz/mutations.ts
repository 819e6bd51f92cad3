// Mutated requests at a running server, and who was let in by them: an allow is wrong unless the oracle, which reads the same
// bytes another way and asks the engine directly, allows too.
import { fromBinary } from '@bufbuild/protobuf';
import { CheckResponseSchema } from '../../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { seededRandom } from '../../store/simulated-files.ts';
import type { Evidence } from './check-requests.ts';
import type { Corpus } from './corpus-file.ts';
import { connectH2, type H2Client, type Reply } from './h2-client.ts';
import { callFrames } from './h2-frames.ts';
import { isAllow } from './judge-answers.ts';
import { decisivePart, mutate } from './mutate-request.ts';
import type { Oracle } from './oracle.ts';

export interface MutationPlan {
  readonly socket: string;
  readonly evidence: Evidence;
  readonly requests: number;
  readonly streams: number;
  readonly seed: number;
}

export interface Mutations {
  readonly sent: number;
  /** Allows that the oracle does not give. */
  readonly wrongAllows: number;
  readonly allows: number;
  /** Of the allows: a field that decides nothing is broken, and the rest asks what the policy allows. */
  readonly besideBrokenFields: number;
  readonly denials: number;
  /** The oracle allows, and the server did not: ambiguities, mostly. */
  readonly deniedThoughAllowed: number;
  /** A gRPC status instead of an answer, or a reset stream. */
  readonly errors: number;
  /** Requests that nothing came back for: the connection ended, or the server did. */
  readonly unanswered: number;
  readonly connectionsEnded: number;
  readonly examples: readonly string[];
}

/** Of the denials, one in so many is shown to the oracle, to tell how many were allowed before they were mutated. */
const SHOWN_DENIALS = 16;
const PATIENCE_MS = 10_000;

export async function runMutations(corpus: Corpus, oracle: Oracle, plan: MutationPlan): Promise<Mutations> {
  const random = seededRandom(plan.seed);
  const pick = (): Uint8Array => corpus.requests[Math.floor(random() * corpus.requests.length)] as Uint8Array;
  const tally = {
    wrongAllows: 0,
    allows: 0,
    besideBrokenFields: 0,
    denials: 0,
    deniedThoughAllowed: 0,
    errors: 0,
    unanswered: 0,
    connectionsEnded: 0,
  };
  const examples: string[] = [];
  let sent = 0;
  while (sent < plan.requests && tally.connectionsEnded < 1_000) {
    const asked = new Map<number, Uint8Array>();
    let client: H2Client;
    try {
      client = await connectH2(plan.socket);
    } catch {
      break;
    }
    await new Promise<void>((resolve) => {
      const ask = (block: Uint8Array): void => {
        const message = mutate(pick(), pick(), random);
        asked.set(sent, message);
        client.call(sent, callFrames(block, message));
        sent++;
      };
      let last = sent;
      const watch = setInterval(() => {
        if (sent === last) client.onEnd('no answer');
        last = sent;
      }, PATIENCE_MS);
      client.onEnd = () => {
        tally.connectionsEnded++;
        clearInterval(watch);
        resolve();
      };
      client.onReply = (tag, reply) => {
        const message = asked.get(tag) ?? new Uint8Array();
        asked.delete(tag);
        count(tag, message, reply);
        if (sent < plan.requests) ask(client.blocks.next);
        else if (asked.size === 0) {
          clearInterval(watch);
          resolve();
        }
      };
      ask(client.blocks.first);
      while (asked.size < plan.streams && sent < plan.requests) ask(client.blocks.next);
      client.flush();
    });
    client.close();
    tally.unanswered += asked.size;
  }
  return { sent, ...tally, examples };

  function count(tag: number, message: Uint8Array, reply: Reply): void {
    const answer = readAs(reply);
    if (answer === 'error') tally.errors++;
    else if (answer === 'deny') {
      tally.denials++;
      if (tag % SHOWN_DENIALS === 0 && oracle(message, plan.evidence).allow) tally.deniedThoughAllowed += SHOWN_DENIALS;
    } else {
      tally.allows++;
      if (oracle(message, plan.evidence).allow) return;
      const decisive = decisivePart(message);
      if (decisive !== undefined && oracle(decisive, plan.evidence).allow) {
        tally.besideBrokenFields++;
        return;
      }
      tally.wrongAllows++;
      if (examples.length < 5) examples.push(Buffer.from(message).toString('base64'));
    }
  }
}

/** As Envoy reads it, and worse: whatever the gRPC status says, a message that reads as an allow is one, also an empty one. */
function readAs({ data }: Reply): 'allow' | 'deny' | 'error' {
  if (data.length < 5) return 'error';
  try {
    return isAllow(fromBinary(CheckResponseSchema, data.subarray(5))) ? 'allow' : 'deny';
  } catch {
    return 'error';
  }
}
