// EnrolmentService as the control plane serves it, on its own listener and without client certificates.
import type { EnrolmentService } from '../../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import type { Implementation } from '../../runtime/grpc.ts';
import { caErrors } from '../errors.ts';
import { enrolmentProtocolVersion } from '../limits.ts';
import type { CaPorts } from './ports.ts';
import { redeemToken } from './redeem-token.ts';
import type { Revocations } from './revocations.ts';
import { trustAnchors } from './trust-anchors.ts';

export function enrolmentHandler(
  ca: CaPorts & { readonly revocations: Revocations },
): Implementation<typeof EnrolmentService> {
  return {
    async enroll(request, call) {
      if (request.protocolVersion !== enrolmentProtocolVersion) {
        throw caErrors.error(
          'CA_PROTOCOL_VERSION',
          `the agent speaks version ${request.protocolVersion} of the enrolment contract, this control plane version ${enrolmentProtocolVersion}`,
        );
      }
      const issued = await redeemToken(ca, {
        tokenId: request.tokenId,
        secret: request.tokenSecret,
        csrDer: request.csrDer,
        agentVersion: request.agentVersion,
        peer: call.peer,
      });
      const { anchors } = await trustAnchors(ca);
      return {
        certificateChainDer: issued.chain.map((der) => new Uint8Array(der)),
        spiffeId: issued.id.uri,
        anchors,
      };
    },
  };
}
