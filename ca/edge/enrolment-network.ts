// The two connections of an enrolment. The first only looks: which certificates does the address present? The second
// trusts nothing but the root that was found by its pinned fingerprint, and carries the secret.
import { connect, type TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import {
  type EnrollRequest,
  type EnrollResponse,
  EnrolmentService,
} from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { createGrpcClient } from '../../runtime/grpc.ts';
import { caErrors } from '../errors.ts';
import { splitAddress } from '../join-line.ts';
import { limits } from '../limits.ts';

export interface EnrolmentNetwork {
  /** Certificates that the server presents, leaf first, DER. Nothing about them is verified. */
  presentedChain(address: string): Promise<Buffer[]>;
  /** One Enroll on a connection whose server chains to `root` and passes `verifyServer`; else nothing is sent. */
  enroll(
    address: string,
    root: Buffer,
    verifyServer: (chainDer: readonly Buffer[]) => void,
    request: EnrollRequest,
  ): Promise<EnrollResponse>;
}

export const enrolmentNetwork: EnrolmentNetwork = {
  async presentedChain(address) {
    const target = splitAddress(address);
    if (target === undefined) throw unreachable(address, 'the address is not host:port');
    const socket = connect({
      ...target,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      // On purpose: this connection carries no byte of ours. It fetches the root, which the fingerprint then judges.
      rejectUnauthorized: false,
    });
    try {
      return await handshake(socket, address);
    } finally {
      socket.destroy();
    }
  },

  async enroll(address, root, verifyServer, request) {
    const client = createGrpcClient(EnrolmentService, address, { roots: [root], verifyServer });
    try {
      return await client.enroll(request, { timeoutMs: limits.enrolTimeoutMs });
    } finally {
      client.close();
    }
  },
};

function handshake(socket: TLSSocket, address: string): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    socket.setTimeout(limits.enrolTimeoutMs, () => reject(unreachable(address, 'it does not answer in time')));
    socket.once('error', (cause) => reject(unreachable(address, cause.message, cause)));
    socket.once('close', () => reject(unreachable(address, 'it closed the connection')));
    socket.once('secureConnect', () => resolve(presented(socket)));
  });
}

function presented(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < limits.chainMaxCertificates) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}

function unreachable(address: string, why: string, cause?: unknown): Error {
  return caErrors.error('CA_SERVER_UNREACHABLE', `no enrolment at ${address}: ${why}`, { cause });
}
