// Rules about the files of a policy repository other than Casbin's.
import type { LintRule } from './lint-rule.ts';

export const repositoryRules = {
  POLICY_FORMAT: {
    severity: 'error',
    waivable: false,
    explanation:
      'The file is not what its folder holds: syntax, an unknown key, or a value of the wrong type or range.',
    example: 'oprations: [read-process]',
    fix: 'write what was expected; examples/policy documents every key',
  },
  POLICY_FILE_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation:
      'A file that is never read looks like policy in force. A deny in firewall/x.yml would be silently absent.',
    example: 'firewal/cell.yaml',
    fix: 'move or rename the file, or start its name with a dot',
  },
  POLICY_ID_DUPLICATE: {
    severity: 'error',
    waivable: false,
    explanation: 'Ids name one thing in decisions, evidence and waivers.',
    example: 'two grants with id: hmi-reads-plc',
    fix: 'rename one of the two',
  },
  POLICY_REFERENCE_UNKNOWN: {
    severity: 'error',
    waivable: false,
    explanation: 'A rule about something that does not exist never matches; for a deny that means it is open.',
    example: 'interface: plc-modbuss',
    fix: 'name something the repository defines',
  },
  POLICY_SELECTOR_EMPTY: {
    severity: 'error',
    waivable: false,
    explanation: 'A selector that chooses no device makes a rule without effect, usually by a typo in a label.',
    example: 'subjects: {labels: {role: gatway}}',
    fix: 'correct the labels, or remove the rule',
  },
  POLICY_ADDRESS: {
    severity: 'error',
    waivable: false,
    explanation:
      'Addresses come from the inventory alone and establish subjects: each is inside its network and has one owner.',
    example: 'address: 10.78.0.12 on a network with cidrs: [10.77.0.0/24]',
    fix: 'give the interface a free address inside one of the cidrs of its network',
  },
  POLICY_PORT_DUPLICATE: {
    severity: 'error',
    waivable: false,
    explanation: 'Two interfaces on one port of one device leave open which rules a packet meets.',
    example: 'plc-modbus and plc-service both on tcp 502 of plc-1',
    fix: 'merge the interfaces, or correct the port',
  },
  POLICY_CIDR: {
    severity: 'error',
    waivable: false,
    explanation: 'A prefix with host bits set is read differently by different programs.',
    example: 'peer: 10.77.0.1/24',
    fix: 'write the network address, or /32 (/128) for one host',
  },
  POLICY_PATH_PATTERN: {
    severity: 'error',
    waivable: false,
    explanation:
      'Paths are matched by whole canonical segments; a pattern no canonical path fits, or with * inside a segment, says something else than it seems to.',
    example: 'paths: ["/api/v1*/status"]',
    fix: 'use literal segments, * for one whole segment, and /** only at the end',
  },
  POLICY_CASBIN_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A Casbin model narrows only the interfaces that name it; one that nobody names decides nothing.',
    example: 'casbin/hmi without an interface that says casbin: hmi',
    fix: 'name the model in an interface, or remove its folder',
  },
  POLICY_UNTIL_PASSED: {
    severity: 'error',
    waivable: false,
    explanation: 'An end date in the past is a rule that is no longer in force but still reads as if it were.',
    example: 'until: 2019-12-31',
    fix: 'remove the entry, or give it a new end date',
  },
  POLICY_PERIOD_LONG: {
    severity: 'error',
    waivable: false,
    explanation: 'Observe mode and waivers are exceptions: at most 92 days for observe mode, 366 days for a waiver.',
    example: 'observe: {until: 2199-01-01}',
    fix: 'choose an earlier end date',
  },
  POLICY_ENFORCER_DEATH_OPEN: {
    severity: 'error',
    waivable: true,
    explanation:
      'While the enforcer is dead everybody reaches the server. That needs a waiver with owner, reason and end date; on that date edges close the interface again.',
    example: 'onEnforcerDeath: open without a waiver that names the interface',
    fix: 'use closed, or hold to let flows that were allowed go on, or add a waiver to waivers/ that names the interface',
  },
  POLICY_BINDING_UNREACHABLE: {
    severity: 'error',
    waivable: false,
    explanation:
      'Plain ports and TLS that is passed through show no certificate: a grant that asks for an SVID there never opens anything.',
    example: 'binding: svid on an interface with protocol: tls',
    fix: 'use binding: ip or port+mac+ip',
  },
  POLICY_BINDING_MAC: {
    severity: 'error',
    waivable: false,
    explanation: 'port+mac+ip compares a hardware address that the inventory has to know.',
    example: 'binding: port+mac+ip for a device whose interfaces have no mac',
    fix: 'add mac to the interfaces of the subject, or use binding: ip',
  },
  POLICY_WRITE_OVER_ADDRESS: {
    severity: 'error',
    waivable: true,
    explanation:
      'An address is weak proof of who writes. Writing over ip or port+mac+ip needs a waiver with owner and end date.',
    example: 'operations: [write-setpoint], binding: ip',
    fix: 'use binding: svid where the protocol can, or add a waiver to waivers/ that names the grant',
  },
  POLICY_BREAK_GLASS_PORT: {
    severity: 'error',
    waivable: false,
    explanation:
      'On a plain port nobody looks at a request, so nothing can be opened for some of them or recorded of each.',
    example: 'a break-glass profile for an interface with protocol: port',
    fix: 'describe the interface as http or modbus, or remove the profile',
  },
  POLICY_BREAK_GLASS_PACKETS: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Break-glass opens requests at the point that is asked about them. Packets are let through by grants alone, so without one the request never arrives.',
    example: 'a profile whose subject holds no grant on the interface',
    fix: 'grant the subject an operation that it may always use, such as reading a status',
  },
  POLICY_BREAK_GLASS_KEY: {
    severity: 'error',
    waivable: false,
    explanation: 'Two approvals are two people: a key belongs to one name and a name to one key, in all profiles.',
    example: 'the same key as anna in one profile and as anna.admin in another',
    fix: 'have each approver make a key with: edgeward break-glass key FILE',
  },
  POLICY_PORT_LIMIT: {
    severity: 'error',
    waivable: false,
    explanation:
      'On a plain port the kernel lets packets through; nobody looks at a request, so none can be counted and nothing can be done with it.',
    example: 'uses: 5 on a grant of an interface with protocol: port',
    fix: 'remove rate, uses and obligations there, or describe the interface as http or modbus',
  },
  POLICY_DENY_ASSUME: {
    severity: 'error',
    waivable: false,
    explanation:
      'In a deny a missing attribute counts as a match. Where that would stop a safety operation, the author has to say which value to assume.',
    example: 'a deny with conditions: {minRisk: 80} of an operation with class: safety',
    fix: 'add assume: {<attribute>: <value>} to the deny, or leave the safety operations out of it',
  },
  POLICY_ENGINE: {
    severity: 'error',
    waivable: false,
    explanation:
      'The decision engine refuses the compiled policy, or answers a self-test vector otherwise than the policy says.',
    example: 'a Casbin model that asks for r.tenant',
    fix: 'correct the place named; if the policy is right, report the message',
  },
  POLICY_NETWORK_UNSHARED: {
    severity: 'warning',
    waivable: true,
    explanation: 'Subject and device are on no common network; anti-spoofing expects a peer on a network both are on.',
    example: 'a grant between a device on cell and one on office',
    fix: 'check the networks of the inventory',
  },
  POLICY_FIREWALL_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation: 'A packet rule that allows every address opens a path no grant accounts for.',
    example: 'action: allow, peer: 0.0.0.0/0',
    fix: 'name the addresses that need it, or write a grant',
  },
  POLICY_WAIVER_UNUSED: {
    severity: 'warning',
    waivable: false,
    explanation: 'A waiver that excuses nothing waits to excuse the next mistake.',
    example: 'a waiver for a grant that only reads, or for a line that was mended or moved',
    fix: 'remove the waiver, or correct what it names',
  },
  POLICY_WAIVER_ENDING: {
    severity: 'warning',
    waivable: false,
    explanation: 'The waiver ends within 14 days; after that what it excuses stops the publication again.',
    example: 'until: a date of next week',
    fix: 'mend what it excuses, or let its owner decide on a new end date',
  },
  POLICY_GRANT_UNTESTED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'No test expects an answer for a subject of this grant on its interface; nobody would notice that it changed.',
    example: 'a grant that no tests/*.yaml mentions',
    fix: 'add a test that allows what it opens and one that denies what it leaves closed',
  },
} as const satisfies Record<string, LintRule>;
