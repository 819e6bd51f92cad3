// The firewall's closed table of codes. A denied packet is not among them: denials are events.
import { errorTable } from '../../runtime/errors.ts';

export const firewallErrors = errorTable({
  FIREWALL_NO_NFT: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Install nftables (Debian: apt-get install nftables); nothing is enforced in the kernel without it',
  },
  FIREWALL_NO_ANSWER: {
    status: 'DEADLINE_EXCEEDED',
    remedy:
      'Look at the load of this host: nft has 20 s; whether the kernel took the rules is looked up, and they are loaded anew',
  },
  FIREWALL_PERMISSION: {
    status: 'PERMISSION_DENIED',
    remedy:
      'Give the process CAP_NET_ADMIN (run it as root, or set AmbientCapabilities= in its unit); where it has that, another edge owns the table: stop it first',
  },
  FIREWALL_KERNEL_REFUSED: {
    status: 'INTERNAL',
    remedy: 'Report the line named with the kernel version; the rules of before stay in force',
  },
  FIREWALL_DRIFT: {
    status: 'ABORTED',
    remedy: 'Find the program that changed table inet edgeward; applying the plan again repairs it',
  },
  FIREWALL_CUTS_CONTROL_PLANE: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Correct the control endpoints of the edge configuration; the rules of before stay in force',
  },
  FIREWALL_BLOCK_ORDERED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Have it pardoned by an order: edgeward response pardon; what the control plane ordered is not undone here',
  },
  FIREWALL_UNCONFIRMED: {
    status: 'ABORTED',
    remedy:
      'The kernel has fallen back to the rules of before; look at what the new plan changes about neighbours and the way to the control plane, and publish a corrected policy',
  },
  FIREWALL_TOO_LARGE: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Merge rules of firewall/ that differ only in their peers, or narrow the selectors; nothing is truncated',
  },
  FIREWALL_ADDRESS: {
    status: 'INVALID_ARGUMENT',
    remedy: 'Write a plain IPv4 or IPv6 address (no zone, not IPv4-mapped) and an ordinary interface name',
  },
  FIREWALL_ROUTES: {
    status: 'INTERNAL',
    remedy: 'Install iproute2 and check that routing table 100 and packet mark 1 are free',
  },
  FIREWALL_FLOWS: {
    status: 'DATA_LOSS',
    remedy: 'Report the kernel version; the peer is cut, only what it had open lingers until it sends or times out',
  },
  FIREWALL_SAVED_PLAN: {
    status: 'DATA_LOSS',
    remedy:
      'Start the edge with its bundle: the plan is compiled again; until then only the control plane is reachable',
  },
  FIREWALL_LOG: {
    status: 'INTERNAL',
    remedy:
      'Check that no other program reads the NFLOG group; packets are still dropped, only their events are missing',
  },
});
