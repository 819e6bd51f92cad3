// For every RPC the identity and role it needs, and its rate limit. A test fails when an RPC has no row
// (bin/rpc-table.test.ts); a call to an RPC without a row is refused.
import type { DescService } from '@bufbuild/protobuf';
import { AdminService } from '../proto/gen/edgeward/admin/v1/admin_pb.ts';
import { AuditIngestService } from '../proto/gen/edgeward/audit/v1/ingest_pb.ts';
import { EnrolmentService } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { EdgeStreamService } from '../proto/gen/edgeward/stream/v1/stream_pb.ts';

export const roles = ['viewer', 'operator', 'approver', 'publisher', 'auditor'] as const;
export type Role = (typeof roles)[number];

/** Who may call: nobody in particular (enrolment, before there is an identity), a device, or an operator of a role. */
export type Access =
  | { readonly identity: 'anonymous' }
  | { readonly identity: 'device' }
  | { readonly identity: 'operator'; readonly anyOf: readonly Role[] };

const operator = (...anyOf: readonly Role[]): Access => ({ identity: 'operator', anyOf });

export const accessTable: Readonly<Record<string, Access>> = {
  'edgeward.enrolment.v1.EnrolmentService/Enroll': { identity: 'anonymous' },
  'edgeward.stream.v1.EdgeStreamService/Connect': { identity: 'device' },
  'edgeward.audit.v1.AuditIngestService/Deliver': { identity: 'device' },

  'edgeward.admin.v1.AdminService/CreateToken': operator('operator'),
  'edgeward.admin.v1.AdminService/ListTokens': operator('viewer', 'operator', 'auditor'),
  'edgeward.admin.v1.AdminService/RevokeToken': operator('operator'),
  'edgeward.admin.v1.AdminService/IssueOperator': operator('approver'),
  'edgeward.admin.v1.AdminService/AddPublisher': operator('approver'),
  'edgeward.admin.v1.AdminService/ListDevices': operator('viewer', 'operator', 'approver', 'auditor', 'publisher'),
  'edgeward.admin.v1.AdminService/GetDeviceTimeline': operator('viewer', 'operator', 'approver', 'auditor'),
  'edgeward.admin.v1.AdminService/QuarantineDevice': operator('operator', 'approver'),
  'edgeward.admin.v1.AdminService/RecoverDevice': operator('approver'),
  'edgeward.admin.v1.AdminService/ReleaseDevice': operator('approver'),
  'edgeward.admin.v1.AdminService/RevokeDevice': operator('approver'),
  'edgeward.admin.v1.AdminService/IslandDevices': operator('operator', 'approver'),
  'edgeward.admin.v1.AdminService/RejoinDevices': operator('approver'),
  'edgeward.admin.v1.AdminService/ListBlocks': operator('viewer', 'operator', 'approver', 'auditor'),
  'edgeward.admin.v1.AdminService/BlockAddress': operator('operator', 'approver'),
  'edgeward.admin.v1.AdminService/PardonAddress': operator('approver'),
  'edgeward.admin.v1.AdminService/BeginPublication': operator('publisher'),
  'edgeward.admin.v1.AdminService/FindMissingChunks': operator('publisher'),
  'edgeward.admin.v1.AdminService/UploadChunk': operator('publisher'),
  'edgeward.admin.v1.AdminService/CompletePublication': operator('publisher'),
  'edgeward.admin.v1.AdminService/GetPolicyStatus': operator('viewer', 'operator', 'publisher', 'auditor'),
  'edgeward.admin.v1.AdminService/QueryEvents': operator('viewer', 'operator', 'auditor'),
  'edgeward.admin.v1.AdminService/TailEvents': operator('viewer', 'operator', 'auditor'),
  'edgeward.admin.v1.AdminService/GetCheckpoint': operator('viewer', 'auditor'),
  'edgeward.admin.v1.AdminService/ExportLog': operator('auditor'),
  'edgeward.admin.v1.AdminService/ListFindings': operator('viewer', 'operator', 'approver', 'auditor'),
  'edgeward.admin.v1.AdminService/ReviewFinding': operator('auditor'),
  'edgeward.admin.v1.AdminService/ListResponses': operator('viewer', 'operator', 'approver', 'auditor'),
};

export interface RateLimit {
  /** Calls a second that a caller may sustain, and how many at once after a rest. */
  readonly perSecond: number;
  readonly burst: number;
  /** What is counted: a verified identity; for enrolment the token id (never the IP: 10,000 edges share one). */
  readonly by: 'identity' | 'token';
}

const read: RateLimit = { perSecond: 50, burst: 100, by: 'identity' };
const write: RateLimit = { perSecond: 20, burst: 400, by: 'identity' };

export const rateTable: Readonly<Record<string, RateLimit>> = {
  'edgeward.enrolment.v1.EnrolmentService/Enroll': { perSecond: 1, burst: 300, by: 'token' },
  'edgeward.stream.v1.EdgeStreamService/Connect': { perSecond: 2, burst: 20, by: 'identity' },
  'edgeward.audit.v1.AuditIngestService/Deliver': { perSecond: 1, burst: 10, by: 'identity' },

  'edgeward.admin.v1.AdminService/CreateToken': write,
  'edgeward.admin.v1.AdminService/ListTokens': read,
  'edgeward.admin.v1.AdminService/RevokeToken': write,
  'edgeward.admin.v1.AdminService/IssueOperator': { perSecond: 1, burst: 20, by: 'identity' },
  'edgeward.admin.v1.AdminService/AddPublisher': { perSecond: 1, burst: 5, by: 'identity' },
  'edgeward.admin.v1.AdminService/ListDevices': read,
  'edgeward.admin.v1.AdminService/GetDeviceTimeline': read,
  'edgeward.admin.v1.AdminService/QuarantineDevice': write,
  'edgeward.admin.v1.AdminService/RecoverDevice': write,
  'edgeward.admin.v1.AdminService/ReleaseDevice': write,
  'edgeward.admin.v1.AdminService/RevokeDevice': write,
  'edgeward.admin.v1.AdminService/IslandDevices': write,
  'edgeward.admin.v1.AdminService/RejoinDevices': write,
  'edgeward.admin.v1.AdminService/ListBlocks': read,
  'edgeward.admin.v1.AdminService/BlockAddress': write,
  'edgeward.admin.v1.AdminService/PardonAddress': write,
  'edgeward.admin.v1.AdminService/BeginPublication': { perSecond: 2, burst: 20, by: 'identity' },
  'edgeward.admin.v1.AdminService/FindMissingChunks': { perSecond: 20, burst: 200, by: 'identity' },
  'edgeward.admin.v1.AdminService/UploadChunk': { perSecond: 200, burst: 5_000, by: 'identity' },
  'edgeward.admin.v1.AdminService/CompletePublication': { perSecond: 2, burst: 20, by: 'identity' },
  'edgeward.admin.v1.AdminService/GetPolicyStatus': read,
  'edgeward.admin.v1.AdminService/QueryEvents': read,
  'edgeward.admin.v1.AdminService/TailEvents': { perSecond: 1, burst: 10, by: 'identity' },
  'edgeward.admin.v1.AdminService/GetCheckpoint': read,
  'edgeward.admin.v1.AdminService/ExportLog': { perSecond: 1, burst: 5, by: 'identity' },
  'edgeward.admin.v1.AdminService/ListFindings': read,
  'edgeward.admin.v1.AdminService/ReviewFinding': write,
  'edgeward.admin.v1.AdminService/ListResponses': read,
};

/** Every service of the control plane; the tables have to cover each of their methods. */
export const services: readonly DescService[] = [EnrolmentService, EdgeStreamService, AuditIngestService, AdminService];

export const rpcNames = (): string[] =>
  services.flatMap((service) => service.methods.map((method) => `${service.typeName}/${method.name}`));
