// The closed table of what this room refuses: POLICY_* in the repository and the publication, BUNDLE_* on the edge.
// Several problems of one repository are values (repository/problems.ts), not errors.
import { errorTable } from '../runtime/errors.ts';

export const policyErrors = errorTable({
  POLICY_SOURCE_REFUSED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Name a directory inside a git repository, or an https://, ssh:// or file:// address',
  },
  POLICY_SOURCE_UNSAFE: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Keep plain files only in the policy repository: no symbolic links, submodules or odd names',
  },
  POLICY_SOURCE_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Split the file, or move what is not policy out of the repository',
  },
  POLICY_RECORD_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Export the decisions again with: edgeward audit export --out FILE',
  },
  POLICY_QUESTION_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Ask about an interface, a device and an operation that the policy repository names',
  },
  POLICY_GIT_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Run the git command by hand; it says what is missing',
  },
  POLICY_OPA_FAILED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Run the opa command by hand on the package; it says what it waits for',
  },
  POLICY_TREE_DIRTY: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Commit or remove the listed files, then publish the commit',
  },
  POLICY_SCAFFOLD_EXISTS: {
    status: 'ALREADY_EXISTS',
    remedy: 'Choose an empty directory',
  },
  POLICY_SCAFFOLD_TRUST_DOMAIN: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Name a trust domain such as plant.example',
  },
  POLICY_TRUST_DOMAIN_MISMATCH: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Publish to the control plane of the trust domain that edgeward.yaml names',
  },
  POLICY_SLICE_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Reduce the grants, Casbin lines or tests that concern this device',
  },
  POLICY_FLEET_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Split the fleet into trust domains, or choose devices by labels that fewer of them have',
  },
  POLICY_PUBLICATION_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Split the fleet into trust domains: one publication holds the manifests of about 25,000 devices',
  },
  POLICY_DIGESTS_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Ask for at most 4,096 SHA-256 digests of 32 bytes at a time',
  },
  POLICY_CHUNK_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Cut the bundle into chunks of at most 256 KiB',
  },
  POLICY_CHUNK_EMPTY: { status: 'INVALID_ARGUMENT', remedy: 'Send a chunk with content' },
  POLICY_CHUNK_MISSING: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Upload every chunk that the manifests name, then complete the publication again',
  },
  POLICY_RELEASE_INVALID: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Build and sign the publication again with this version of edgeward',
  },
  POLICY_PUBLISHER_UNKNOWN: {
    status: 'PERMISSION_DENIED',
    remedy: "Sign with a key that was pinned for this trust domain, or have an operator add the publisher's key",
  },
  POLICY_VERSION_CONFLICT: {
    status: 'ABORTED',
    remedy: 'Publish again: another publication took this version',
  },
  BUNDLE_SIGNATURE: {
    status: 'PERMISSION_DENIED',
    remedy: 'Publish with a key that the edge has pinned; keep the last good bundle',
  },
  BUNDLE_MALFORMED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Build the bundle again with a version of edgeward that the edge knows',
  },
  BUNDLE_TRUST_DOMAIN: { status: 'PERMISSION_DENIED', remedy: 'Publish to the trust domain the edge belongs to' },
  BUNDLE_DEVICE: { status: 'PERMISSION_DENIED', remedy: 'Send each device the bundle that was built for it' },
  BUNDLE_ROLLBACK: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Publish the wanted content under a new version; an older one is never activated again',
  },
  BUNDLE_EXPIRED: { status: 'FAILED_PRECONDITION', remedy: 'Publish again, and check the clock of the edge' },
  BUNDLE_CHUNK_MISSING: { status: 'UNAVAILABLE', remedy: 'Fetch the chunk again from the control plane' },
  BUNDLE_CHUNK_TAMPERED: { status: 'DATA_LOSS', remedy: 'Fetch the chunk again; if it repeats, check the disk' },
  BUNDLE_TOO_LARGE: { status: 'RESOURCE_EXHAUSTED', remedy: 'Reduce what the policy says about this device' },
  BUNDLE_MIXED: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Build the bundle again: its content belongs to another device or trust domain than its manifest',
  },
  BUNDLE_FEATURE_UNKNOWN: {
    status: 'UNIMPLEMENTED',
    remedy: 'Update the edge, or remove what needs the feature from its policy',
  },
});

export type PolicyErrorCode = keyof typeof policyErrors.codes;
