// Rules about firewall/ and feeds/.
import type { LintRule } from './lint-rule.ts';

export const firewallRules = {
  POLICY_FIREWALL_OPEN: {
    severity: 'error',
    waivable: true,
    explanation:
      'An admin allow of every transport from every address is judged before grants and denies of packets: the device has no firewall any more.',
    example: 'tier: admin, action: allow, direction: in, transport: any, peer: 0.0.0.0/0',
    fix: 'name the addresses and ports that need it, or write a grant',
  },
  POLICY_FIREWALL_FAMILY: {
    severity: 'warning',
    waivable: true,
    explanation:
      'The rule names IPv4 networks only, and the device has an IPv6 address. Over IPv6 an allow stays denied, and a deny denies nothing. The same where peers: and to: of a rule share no family.',
    example: 'action: deny, peer: 0.0.0.0/0 on a device with address: fd00::12',
    fix: 'write peers: with the IPv6 network beside it (::/0 for every address)',
  },
  POLICY_FIREWALL_LARGE: {
    severity: 'error',
    waivable: false,
    explanation:
      'The edge refuses a plan whose sets or lists exceed its bounds, and keeps the rules of before; nothing is cut off.',
    example: 'two feeds of 60,000 blocks each in rules of one tier and direction',
    fix: 'narrow the selectors of devices, shorten the feeds, or merge rules that differ only in their peers',
  },
  POLICY_FIREWALL_OBSERVED: {
    severity: 'warning',
    waivable: true,
    explanation: 'A rule in observe mode counts and logs what it would have done, and decides nothing.',
    example: 'observe: true on a deny of tier admin',
    fix: 'remove observe when its counts are as expected, or waive this until then',
  },
  POLICY_FIREWALL_WORKLOAD: {
    severity: 'error',
    waivable: false,
    explanation:
      'The kernel knows the user of a packet only on its way out, the cgroup only where a socket of this device is, and a network namespace only by what is forwarded.',
    example: 'direction: in, workload: historian, where historian is told by its uid',
    fix: 'use direction out for uid, in or out for cgroup, through for interface',
  },
  POLICY_TRAP_SERVICE: {
    severity: 'error',
    waivable: false,
    explanation: 'A trap blocks whoever opens its ports. On the port of a service that means its own clients.',
    example: 'traps: ports: 1-1024 on a device with an interface on tcp 502',
    fix: 'leave the ports of its interfaces out of the trap',
  },
  POLICY_NAME_RESERVED: {
    severity: 'error',
    waivable: false,
    explanation:
      'The name is a word of nftables or of the rules that every device has; counters and denials of the two could not be told apart.',
    example: 'id: revoked',
    fix: 'choose a name that says what the rule is for',
  },
  POLICY_FEED: {
    severity: 'error',
    waivable: false,
    explanation:
      'A threat feed is written by somebody else. A line that is no block, is too wide, or names addresses of this site or of the host itself is refused, not skipped: it would cut off what the feed is to protect.',
    example: '0.0.0.0/0, 127.0.0.1, or 10.77.0.0/16 where the inventory has 10.77.0.12',
    fix: 'remove the line, or import the list again: edgeward policy feed import FILE --name NAME --skip-refused',
  },
  POLICY_FEED_EXPIRED: {
    severity: 'warning',
    waivable: false,
    explanation: 'The date until which the feed may be believed has passed: edges have dropped the rule.',
    example: 'expires: 2019-12-31',
    fix: 'import a newer list and move its date, or remove the rule',
  },
  POLICY_FEED_UNUSED: {
    severity: 'warning',
    waivable: true,
    explanation: 'No firewall rule names the feed; it blocks nothing.',
    example: 'feeds/drop.netset without a rule that says feed: drop',
    fix: 'name it in a rule, or remove the file',
  },
} as const satisfies Record<string, LintRule>;
