// AdminService: each RPC joins wire messages to the room that owns the operation. Decides nothing itself.
import type { AdminService, Target as WireTarget } from '../../proto/gen/edgeward/admin/v1/admin_pb.ts';
import type { Target } from '../../response/cloud/index.ts';
import type { CallContext, Implementation } from '../../runtime/grpc.ts';
import { deviceId as deviceSpiffeId } from '../../identity/index.ts';
import type { Caller } from './access.ts';
import type { ControlRooms } from './rooms.ts';

export function adminService(
  rooms: ControlRooms,
  callerOf: (call: CallContext) => Caller,
): Implementation<typeof AdminService> {
  const by = (call: CallContext): string => callerOf(call).id.uri;
  return {
    ...tokens(rooms, by),
    ...operators(rooms, by),
    ...devices(rooms, by),
    ...sites(rooms, by),
    ...policy(rooms),
    ...rooms.log.handlers,
    ...findings(rooms, callerOf),
  };
}

type By = (call: CallContext) => string;
type Part<Names extends keyof Implementation<typeof AdminService>> = Pick<Implementation<typeof AdminService>, Names>;

const bytes = (buffers: readonly Buffer[]): Uint8Array<ArrayBuffer>[] => buffers.map((der) => new Uint8Array(der));

function tokens({ ca }: ControlRooms, by: By): Part<'createToken' | 'listTokens' | 'revokeToken'> {
  return {
    createToken: async ({ deviceId, ttlSeconds, reimage }, call) => {
      const created = await ca.createToken({ deviceId, ttlSeconds, reimage, by: by(call) });
      return { tokenId: created.tokenId, joinLine: created.joinLine, expiresAtMs: BigInt(created.expiresAtMs) };
    },
    listTokens: async () => ({
      tokens: (await ca.listTokens()).map((token) => ({ ...token, expiresAtMs: BigInt(token.expiresAtMs) })),
    }),
    revokeToken: async ({ tokenId }, call) => {
      await ca.revokeToken({ tokenId, by: by(call) });
      return {};
    },
  };
}

function operators({ ca, events }: ControlRooms, by: By): Part<'issueOperator' | 'addPublisher'> {
  return {
    issueOperator: async ({ name, roles, csrDer, ttlSeconds }, call) => {
      const issued = await ca.issueOperator({ name, roles, csrDer, ttlSeconds, by: by(call) });
      return { certificateChainDer: bytes(issued.chain), spiffeId: issued.id.uri };
    },
    addPublisher: async ({ publicKeyJwk }, call) => {
      const { keyId } = await ca.addPublisher({ publicKeyJwk, by: by(call) });
      events.changed('anchors');
      return { keyId };
    },
  };
}

function devices(
  rooms: ControlRooms,
  by: By,
): Part<'listDevices' | 'getDeviceTimeline' | 'quarantineDevice' | 'recoverDevice' | 'releaseDevice' | 'revokeDevice'> {
  const { responses } = rooms;
  return {
    listDevices: async ({ deviceId }) => ({ devices: await listDevices(rooms, deviceId) }),
    getDeviceTimeline: async ({ deviceId }) => ({
      transitions: (await responses.timeline(deviceId)).map((row) => ({
        atMs: BigInt(row.at),
        from: row.from_state,
        to: row.to_state,
        cause: row.cause,
        by: row.by,
      })),
    }),
    quarantineDevice: async ({ deviceId, reason }, call) => {
      const { orderSequence } = await responses.apply({ deviceId, event: 'quarantined', cause: reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence) };
    },
    recoverDevice: async ({ deviceId, reason }, call) => {
      const { orderSequence } = await responses.recover({ deviceId, reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence) };
    },
    releaseDevice: async ({ deviceId, reason, full }, call) => {
      const { orderSequence } = await responses.release({ deviceId, reason, by: by(call), full });
      return { orderSequence: BigInt(orderSequence) };
    },
    revokeDevice: async ({ deviceId, reason }, call) => {
      const { orderSequence } = await responses.apply({ deviceId, event: 'revoked', cause: reason, by: by(call) });
      await rooms.ca.revokeDevice({ deviceId, reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence) };
    },
  };
}

function sites(
  { sites: orders }: ControlRooms,
  by: By,
): Part<'islandDevices' | 'rejoinDevices' | 'listBlocks' | 'blockAddress' | 'pardonAddress'> {
  /** Absent names nobody, and is refused. */
  const targetOf = (target: WireTarget | undefined): Target => target ?? { deviceIds: [], site: '', fleet: false };
  return {
    islandDevices: async ({ target, reason }, call) => {
      const { orderSequence, deviceIds } = await orders.island({ target: targetOf(target), reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence), deviceIds: [...deviceIds] };
    },
    rejoinDevices: async ({ target, reason }, call) => {
      const { orderSequence, deviceIds } = await orders.rejoin({ target: targetOf(target), reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence), deviceIds: [...deviceIds] };
    },
    listBlocks: async () => ({
      blocks: (await orders.blocks()).map((row) => ({
        address: row.address,
        deviceId: row.device_id,
        rule: row.rule,
        sinceMs: BigInt(row.since),
        untilMs: BigInt(row.until),
        by: row.by,
        reason: row.cause,
        orderSequence: BigInt(row.order_sequence),
      })),
    }),
    blockAddress: async ({ address, target, ttlSeconds, reason }, call) => {
      const asked = { address, target: targetOf(target), ttlSeconds, reason, by: by(call) };
      const { orderSequence, until } = await orders.block(asked);
      return { orderSequence: BigInt(orderSequence), untilMs: BigInt(until) };
    },
    pardonAddress: async ({ address, target, reason }, call) => {
      const { orderSequence } = await orders.pardon({ address, target: targetOf(target), reason, by: by(call) });
      return { orderSequence: BigInt(orderSequence) };
    },
  };
}

/** Inventory, states, certificates and connections joined by device id. */
async function listDevices(rooms: ControlRooms, only: string) {
  const [release, states, islands, certificates] = await Promise.all([
    rooms.publications.release(),
    rooms.responses.list(),
    rooms.sites.islands(),
    rooms.ca.currentCertificates(only === '' ? undefined : only),
  ]);
  const state = new Map(states.map((row) => [row.deviceId, row]));
  const island = new Map(islands.map((row) => [row.device_id, row]));
  const certificate = new Map(certificates.map((row) => [row.deviceId, row]));
  const connected = new Map(rooms.connected().map((row) => [row.deviceId, row]));
  const inventory = new Map((release?.release.devices ?? []).map((device) => [device.id, device.labels]));
  const ids = [...new Set([...inventory.keys(), ...state.keys()])]
    .filter((id) => only === '' || id === only)
    .toSorted();
  return ids.map((id) => ({
    deviceId: id,
    spiffeId: deviceSpiffeId(rooms.trustDomain, id).uri,
    state: state.get(id)?.state ?? 'expected',
    reduced: state.get(id)?.reduced ?? false,
    attestationClass: state.get(id)?.attestationClass ?? 'none',
    attestedAtMs: BigInt(state.get(id)?.attestedAt ?? 0),
    risk: state.get(id)?.risk ?? 0,
    connected: connected.has(id),
    lastSeenMs: BigInt(connected.get(id)?.lastSeen ?? 0),
    certificateSerial: certificate.get(id)?.serial ?? '',
    certificateExpiresAtMs: BigInt(certificate.get(id)?.notAfterMs ?? 0),
    labels: inventory.get(id) ?? {},
    agentVersion: connected.get(id)?.agentVersion ?? '',
    island: island.get(id)?.reported ?? '',
    islandOrdered: (island.get(id)?.order_sequence ?? 0) > 0,
  }));
}

function policy({
  publications,
  trustDomain,
}: ControlRooms): Part<
  'beginPublication' | 'findMissingChunks' | 'uploadChunk' | 'completePublication' | 'getPolicyStatus'
> {
  return {
    beginPublication: async () => ({ version: BigInt((await publications.begin()).version), trustDomain }),
    findMissingChunks: async ({ digests }) => {
      const missing = await publications.missingChunks(digests.map((digest) => Buffer.from(digest).toString('hex')));
      return { missing: missing.map((digest) => Buffer.from(digest, 'hex')) };
    },
    uploadChunk: async ({ content }) => ({ digest: Buffer.from(await publications.uploadChunk(content), 'hex') }),
    completePublication: async ({ version, release, manifests, parts }) => {
      const digests = parts.map((digest) => Buffer.from(digest).toString('hex'));
      const given = { version: Number(version), release, manifests };
      const done = await publications.complete(digests.length === 0 ? given : { ...given, parts: digests });
      return { version: BigInt(done.version), devices: done.devices };
    },
    getPolicyStatus: async () => {
      const status = await publications.status();
      return {
        ...status,
        version: BigInt(status.version),
        publishedAtMs: BigInt(status.publishedAt),
        edges: status.edges.map((edge) => ({
          ...edge,
          enforcedVersion: BigInt(edge.enforcedVersion),
          enforcedDigest: Buffer.from(edge.enforcedDigest, 'hex'),
          acknowledgedAtMs: BigInt(edge.acknowledgedAt),
          nackVersion: BigInt(edge.nackVersion),
        })),
      };
    },
  };
}

function findings(
  rooms: ControlRooms,
  callerOf: (call: CallContext) => Caller,
): Part<'listFindings' | 'reviewFinding' | 'listResponses'> {
  return {
    listFindings: async ({ state, limit }) => ({
      findings: (await rooms.findings.list({ state, limit: Math.min(limit === 0 ? 100 : limit, 1_000) })).map(
        (finding) => ({
          id: finding.id,
          ruleId: finding.ruleId,
          title: finding.title,
          level: finding.level,
          deviceId: finding.device,
          firstEventMs: BigInt(finding.firstEventAt),
          foundAtMs: BigInt(finding.foundAt),
          state: finding.state,
          evidence: finding.evidence.map(BigInt),
          tags: [...finding.tags],
          count: finding.count,
          closedWhy: finding.closedWhy,
        }),
      ),
    }),
    reviewFinding: async ({ findingId, note }, call) => {
      await rooms.review({ id: findingId, note, by: callerOf(call).id.name });
      return {};
    },
    listResponses: async () => ({
      responses: (await rooms.playbooks.list()).map((row) => ({
        id: row.id,
        playbookId: row.playbook_id,
        findingId: row.finding_id,
        action: row.action,
        deviceId: row.device_id,
        state: row.state,
        why: row.why,
        atMs: BigInt(row.at),
        orderSequence: BigInt(row.order_sequence),
      })),
    }),
  };
}
