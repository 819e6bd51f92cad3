// `policy init`: a small documented repository that passes lint and its own tests, to be changed line by line.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { policyErrors } from '../errors.ts';
import { trustDomain as trustDomainSchema } from './format/scalars.ts';

export interface ScaffoldOptions {
  readonly trustDomain: string;
}

/** Writes into an empty or new directory; returns the paths written, relative to it. */
export async function scaffold(directory: string, options: ScaffoldOptions): Promise<string[]> {
  const domain = trustDomainSchema.safeParse(options.trustDomain);
  if (!domain.success) {
    const message = domain.error.issues[0]?.message ?? 'not a trust domain';
    throw policyErrors.error('POLICY_SCAFFOLD_TRUST_DOMAIN', `${options.trustDomain}: ${message}`);
  }
  await mkdir(directory, { recursive: true });
  const present = (await readdir(directory)).filter((name) => name !== '.git');
  if (present.length > 0) {
    throw policyErrors.error('POLICY_SCAFFOLD_EXISTS', `${directory} holds ${present.slice(0, 5).join(', ')}`);
  }
  const files = filesFor(domain.data);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text, { flag: 'wx' });
  }
  return Object.keys(files);
}

function filesFor(trustDomain: string): Record<string, string> {
  return {
    'edgeward.yaml': `# What holds for the whole trust domain.
format: 1
trustDomain: ${trustDomain}
# How long an edge keeps its bundle without hearing anything new: then operations of class sensitive close,
# and at last everything that is not of class safety.
softExpiry: 24h
hardExpiry: 7d
`,
    'inventory/site.yaml': `# Networks, devices, labels and addresses. A device never chooses its own.
networks:
  - name: site
    cidrs: [192.0.2.0/24]
devices:
  - id: gateway-1
    labels: {role: gateway}
    interfaces:
      - {name: eth0, network: site, address: 192.0.2.11}
  - id: server-1
    labels: {role: server}
    interfaces:
      - {name: eth0, network: site, address: 192.0.2.12}
`,
    'interfaces/server.yaml': `# Services and their named operations. What is not named cannot be granted; what is not granted is closed.
interfaces:
  - name: server-web
    device: server-1
    protocol: http # http, modbus or port
    port: 8443
    operations:
      status:
        methods: [GET]
        paths: [/status]
`,
    'grants/site.yaml': `# Who may use which operations of which interface.
grants:
  - id: gateway-reads-status
    subjects: {labels: {role: gateway}}
    interface: server-web
    operations: [status]
    binding: svid # svid: a verified certificate; ip or port+mac+ip: an address of the inventory
`,
    'tests/site.yaml': `# given / when / then; run before every publication.
tests:
  - name: the gateway reads the status
    given: {subject: gateway-1}
    when: {interface: server-web, http: {method: GET, path: /status}}
    then: allow
  - name: the gateway changes nothing
    given: {subject: gateway-1}
    when: {interface: server-web, http: {method: POST, path: /status}}
    then: deny
  - name: a quarantined gateway reads nothing
    given: {subject: gateway-1, state: quarantined}
    when: {interface: server-web, http: {method: GET, path: /status}}
    then: deny
`,
    'README.md': `# Policy of ${trustDomain}

    edgeward policy lint .       every problem with file:line:column
    edgeward policy test .       the tests below tests/
    edgeward policy publish .    the clean commit HEAD: lint, test, build, sign, upload
`,
  };
}
