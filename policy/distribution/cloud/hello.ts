// The first message of an edge: parsed and judged once, trusted afterwards.
import type { ConnectRequest } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { ResourceType } from '../../../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { distributionErrors } from '../errors.ts';
import { MAX_AGENT_VERSION_CHARACTERS, PROTOCOL_VERSION } from '../limits.ts';
import { resourceTypeName, resourceTypes } from '../resource-types.ts';

export interface AcceptedHello {
  readonly agentVersion: string;
  /** What the edge says it has in force, by type; 0 for nothing. */
  readonly versions: ReadonlyMap<ResourceType, bigint>;
}

/** Judges the first message. Throws STREAM_HELLO_MISSING, STREAM_PROTOCOL_VERSION, STREAM_TYPE_*, STREAM_SUBSCRIPTION_INVALID. */
export function acceptHello(first: ConnectRequest | undefined, served: (type: ResourceType) => boolean): AcceptedHello {
  if (first?.message.case !== 'hello') {
    throw distributionErrors.error('STREAM_HELLO_MISSING', 'the first message of a stream was not Hello');
  }
  const hello = first.message.value;
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    throw distributionErrors.error(
      'STREAM_PROTOCOL_VERSION',
      `the edge speaks version ${hello.protocolVersion} of the stream, this control plane version ${PROTOCOL_VERSION}`,
    );
  }
  const versions = new Map<ResourceType, bigint>();
  for (const { type, version } of hello.subscriptions) {
    checkType(type, served);
    if (versions.has(type)) {
      throw distributionErrors.error('STREAM_SUBSCRIPTION_INVALID', `${resourceTypeName(type)} is subscribed twice`);
    }
    versions.set(type, version);
  }
  if (versions.size === 0) {
    throw distributionErrors.error('STREAM_SUBSCRIPTION_INVALID', 'the edge subscribed to nothing');
  }
  return { agentVersion: printable(hello.agentVersion), versions };
}

function checkType(type: ResourceType, served: (type: ResourceType) => boolean): void {
  if (!resourceTypes.has(type)) {
    throw distributionErrors.error('STREAM_TYPE_UNKNOWN', `resource ${resourceTypeName(type)} is not in the contract`);
  }
  if (!served(type)) {
    throw distributionErrors.error('STREAM_TYPE_NOT_SERVED', `${resourceTypeName(type)} is not served here`);
  }
}

/** It ends on operators' terminals: no control characters, bounded. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, MAX_AGENT_VERSION_CHARACTERS);
}
