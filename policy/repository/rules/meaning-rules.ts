// Rules about what grants, denies and firewall rules mean together, and about what nothing uses.
import type { LintRule } from './lint-rule.ts';

export const meaningRules = {
  POLICY_RULE_DUPLICATE: {
    severity: 'warning',
    waivable: true,
    explanation: 'The same rule under another id; removing one of the two removes nothing, as somebody will find out.',
    example: 'two grants that differ in id only',
    fix: 'remove one',
  },
  POLICY_RULE_SHADOWED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Other rules of the same kind already do all that this one does, under conditions at most as strict; it can go without changing any decision.',
    example: 'a grant of read-process to hmi-1 beside one to every device with role hmi',
    fix: 'remove the narrower rule, or narrow the wider one',
  },
  POLICY_RULE_CONTRADICTORY: {
    severity: 'warning',
    waivable: true,
    explanation:
      'A grant and a deny say the opposite of the same subjects and operations; the deny wins, and one of the two is a mistake.',
    example: 'a grant of view to hmi-1 and a deny of view for hmi-1',
    fix: 'remove one of the two',
  },
  POLICY_GRANT_UNREACHABLE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Denies without conditions beat this grant for every subject and operation it names; it opens nothing.',
    example: 'a grant of write-setpoint beside a deny of all operations for all',
    fix: 'remove the grant, or narrow the denies',
  },
  POLICY_GRANT_PART_DENIED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'One operation of this grant is denied to every subject of it, always; the grant reads wider than it is.',
    example: 'operations: [view, admin] beside a deny of admin for all',
    fix: 'take the operation out of the grant, or narrow the deny',
  },
  POLICY_GRANT_FIREWALLED: {
    severity: 'warning',
    waivable: true,
    explanation: 'Firewall rules drop the packets of every subject of this grant before anybody could decide.',
    example: 'a grant on port 23 beside tier: admin, action: deny, ports: 23',
    fix: 'narrow the firewall rule, or remove the grant',
  },
  POLICY_FIREWALL_UNREACHABLE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'A rule that is judged first decides all that this one is about: an admin rule before a baseline one, a lower priority, or at the same priority deny before pass before allow.',
    example: 'allow udp 123 to 10.77.0.1/32 beside deny any to 10.77.0.0/24 at the same priority',
    fix: 'give it a lower priority, narrow the other one, or remove it',
  },
  POLICY_NEVER_IN_FORCE: {
    severity: 'error',
    waivable: false,
    explanation:
      'Start, end, window and days leave no moment from now on in which the rule holds; it still reads as if it were in force.',
    example: 'weekdays: [sat] with notBefore: 2027-03-01 and until: 2027-03-05',
    fix: 'correct the dates, or remove the rule',
  },
  POLICY_CONDITION_MOOT: {
    severity: 'warning',
    waivable: true,
    explanation: 'The condition always holds, so it only looks like a restriction.',
    example: 'timeWindow: 00:00-24:00',
    fix: 'remove the condition, or write the one that was meant',
  },
  POLICY_ENTRY_REDUNDANT: {
    severity: 'warning',
    waivable: true,
    explanation: 'Another entry of the same list already says this.',
    example: 'paths: [/status, /**], or addresses: [0-99, 10-19]',
    fix: 'remove the entry',
  },
  POLICY_OPERATION_DUPLICATE: {
    severity: 'warning',
    waivable: true,
    explanation: 'Two operations of one interface are the same requests: a grant of one opens what the other names.',
    example: 'view and show, both GET /status',
    fix: 'keep one of the two',
  },
  POLICY_PATH_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation: 'The granted operation covers every path of the interface, also those that an update adds.',
    example: 'paths: [/**] in an operation that a grant opens',
    fix: 'name the paths, at least the first segment',
  },
  POLICY_NORMALISE_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'An interface with sensitive operations takes path parameters, encoded slashes or capitals for the same path. Every proxy and log on the way has to read them alike.',
    example: 'normalise: [encoded-slashes, dot-segments] where /admin/** is sensitive',
    fix: 'leave out what the server does not do, switch it off there, or put the sensitive operations on an interface of their own',
  },
  POLICY_REGISTERS_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation: 'The granted operation writes any value to any register or coil of the device.',
    example: "functions: [write-single-register], addresses: ['0-65535']",
    fix: 'name the registers, and the values they may take',
  },
  POLICY_SUBJECTS_WIDE: {
    severity: 'warning',
    waivable: true,
    explanation:
      'The grant is for every device of the inventory, and where labels choose them for every one that will be added.',
    example: 'subjects: {labels: {site: plant-a}} where all devices are in plant-a',
    fix: 'add the label that tells the subjects apart, such as role',
  },
  POLICY_SENSITIVE_WITHOUT_END: {
    severity: 'warning',
    waivable: true,
    explanation: 'A grant of an operation of class sensitive without an end date is never looked at again.',
    example: 'operations: [write-setpoint] (class: sensitive) without until',
    fix: 'add until: and renew it when the need is confirmed',
  },
  POLICY_AUDIT_CONTRADICTORY: {
    severity: 'error',
    waivable: false,
    explanation: 'An interface whose records have to be on disk before the answer leaves has a record of every answer.',
    example: 'audit: {durable: true, allows: counted}',
    fix: 'remove allows, or durable',
  },
  POLICY_AUDIT_SAMPLED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'Where allowed requests are sampled, the record does not say what most requests to a safety or sensitive operation were.',
    example: 'audit: {allows: {sample: 100}} on an interface with an operation of class sensitive',
    fix: 'record all of them, or give these operations an interface of their own',
  },
  POLICY_INTERFACE_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'No grant, deny or test names the interface.',
    example: 'an interface left over from a service that is gone',
    fix: 'remove it, or test that it is closed',
  },
  POLICY_OPERATION_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation:
      'No grant or deny names the operation. (A sensitive one has an effect of its own: it makes requests sensitive.)',
    example: 'an operation that was renamed in the grants only',
    fix: 'remove it, or name it in a grant or deny',
  },
  POLICY_NETWORK_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'No device of the inventory has an interface on the network.',
    example: 'a network whose last device was removed',
    fix: 'remove the network, or correct the network of the devices',
  },
  POLICY_ATTRIBUTE_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'No condition, model or test reads the attribute that the schema declares.',
    example: 'subject.vendor in schema/ after the grant that read it was removed',
    fix: 'remove it from schema/, or use it',
  },
  POLICY_ANALYSIS_CUT: {
    severity: 'warning',
    waivable: true,
    explanation: 'The comparison of rules with each other stopped at its bound; some findings may be missing.',
    example: 'ten thousand grants of one operation to a thousand devices each',
    fix: 'use labels instead of many grants of the same, or split the repository',
  },
} as const satisfies Record<string, LintRule>;
