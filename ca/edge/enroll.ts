// Enrolment, the device's side. The key is made here, is durable before it is used, and never leaves; the secret of the
// join line is sent only to a server that chains to the root which the line pins.
import { create } from '@bufbuild/protobuf';
import {
  controlId,
  createCsr,
  fingerprint,
  type KeyPair,
  type ParsedTrustAnchors,
  trustAnchorsFromWire,
  verifyChain,
} from '../../identity/index.ts';
import { type EnrollResponse, EnrollRequestSchema } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { Clock } from '../../runtime/clock.ts';
import { caErrors } from '../errors.ts';
import { type JoinLine, parseJoinLine } from '../join-line.ts';
import { enrolmentProtocolVersion } from '../limits.ts';
import { explain, invalidAnswer, isClockFault, verifyAnswer } from './answer.ts';
import { type EnrolmentNetwork, enrolmentNetwork } from './enrolment-network.ts';
import {
  type DeviceIdentity,
  enrolmentKey,
  findIdentity,
  loadIdentity,
  type StateDirectory,
  storeEnrolled,
} from './identity-directory.ts';

export interface Enrolment {
  /** As read from a file, standard input or a prompt. */
  readonly joinLine: string;
  readonly state: StateDirectory;
  readonly clock: Clock;
  readonly agentVersion: string;
  /** Default: the real one. */
  readonly network?: EnrolmentNetwork;
}

/**
 * Enrols the device and stores its identity. Interrupted anywhere, the same call with the same line goes on: the key is
 * kept per token, and the server answers the same key again.
 * Errors: CA_JOIN_LINE_INVALID, CA_IDENTITY_EXISTS, CA_SERVER_*, CA_ANSWER_INVALID, IDENTITY_EXPIRED and
 * IDENTITY_NOT_YET_VALID (the clock of this machine), FILE_SYSTEM_*, and what the control plane refuses with.
 */
export async function enroll(enrolment: Enrolment): Promise<DeviceIdentity> {
  const { state, clock, agentVersion, network = enrolmentNetwork } = enrolment;
  const line = parseJoinLine(enrolment.joinLine);
  await refuseEnrolled(state);
  const root = await findPinnedRoot(network, line, clock);
  const keys = await enrolmentKey(state, line.tokenId);
  const request = create(EnrollRequestSchema, {
    protocolVersion: enrolmentProtocolVersion,
    tokenId: line.tokenId,
    tokenSecret: new Uint8Array(line.secret),
    csrDer: new Uint8Array(createCsr(keys)),
    agentVersion,
  });
  const response = await network.enroll(line.address, root, (chain) => verifyServer(chain, root, line, clock), request);
  const { chain, anchors } = judge(response, { line, root, keys, now: clock.now() });
  await storeEnrolled(state, keys, chain, anchors);
  return await loadIdentity(state);
}

async function refuseEnrolled(state: StateDirectory): Promise<void> {
  const identity = await findIdentity(state);
  if (identity !== undefined) {
    throw caErrors.error('CA_IDENTITY_EXISTS', `this device is enrolled already, as ${identity.id.uri}`);
  }
}

/** The presented certificate that has the pinned fingerprint, if the server's own certificate chains to it. */
async function findPinnedRoot(network: EnrolmentNetwork, line: JoinLine, clock: Clock): Promise<Buffer> {
  const presented = await network.presentedChain(line.address);
  const root = presented.find((der) => fingerprint(der) === line.rootFingerprint);
  if (root === undefined) throw untrusted(line, 'it does not present the authority that the join line pins');
  verifyServer(presented, root, line, clock);
  return root;
}

/** Judges a server by path and name; host names and addresses play no part. */
function verifyServer(presented: readonly Buffer[], root: Buffer, line: JoinLine, clock: Clock): void {
  const [leaf, ...rest] = presented.filter((der) => !der.equals(root));
  const expected = controlId(line.trustDomain, 'server').uri;
  try {
    if (leaf === undefined) throw new Error('it presents no certificate of its own');
    const { id } = verifyChain(leaf, rest, [root], { now: clock.now(), trustDomain: line.trustDomain });
    if (id.uri !== expected) throw new Error(`it is ${id.uri}, not ${expected}`);
  } catch (error) {
    if (isClockFault(error)) throw error;
    throw untrusted(line, error instanceof Error ? error.message : String(error), error);
  }
}

interface Judgement {
  readonly line: JoinLine;
  readonly root: Buffer;
  readonly keys: KeyPair;
  readonly now: number;
}

function judge(
  response: EnrollResponse,
  { line, root, keys, now }: Judgement,
): { chain: readonly Buffer[]; anchors: ParsedTrustAnchors } {
  const wire = response.anchors;
  if (wire === undefined) throw invalidAnswer('it holds no trust anchors');
  const anchors = explain(() => trustAnchorsFromWire(wire));
  // The pinned root is of the line's trust domain (verifyServer), and anchors hold roots of one trust domain only.
  if (!anchors.roots.some((der) => der.equals(root))) throw invalidAnswer('its anchors lack the pinned authority');
  const { chain } = verifyAnswer(response, {
    publicKey: keys.publicKey,
    trustDomain: line.trustDomain,
    roots: anchors.roots,
    now,
  });
  return { chain, anchors };
}

function untrusted(line: JoinLine, why: string, cause?: unknown): Error {
  return caErrors.error('CA_SERVER_UNTRUSTED', `the server at ${line.address} is refused: ${why}`, { cause });
}
