// Rules about the inventory's addresses and ports: each address inside its network, with one owner; one interface per
// port of a device; networks without host bits.
import ipaddr from 'ipaddr.js';
import { nearest } from '../nearest.ts';
import { hostBits } from './firewall.ts';
import type { Problems } from '../problems.ts';
import type { Device, Repository } from '../repository.ts';

export function lintAddresses(repository: Repository, problems: Problems): void {
  const networks = new Map(repository.networks.map((network) => [network.name, network]));
  const owners = new Map<string, Owner>();
  for (const device of repository.devices) {
    const cards = new Map<string, Device['interfaces'][number]>();
    device.interfaces.forEach((card, index) => {
      const before = cards.get(card.name);
      // One card with several addresses, such as one of each family, is written once for each.
      if (before !== undefined && (before.network !== card.network || before.mac !== card.mac)) {
        const message = `${device.id} has ${card.name} twice, on another network or with another hardware address`;
        problems.add('POLICY_ADDRESS', device.at('interfaces', index, 'name'), message);
      }
      cards.set(card.name, before ?? card);
      checkNetwork(device, index, networks, problems);
      checkOwner(device, index, owners, problems);
    });
  }
}

function checkNetwork(
  device: Device,
  index: number,
  networks: ReadonlyMap<string, { readonly cidrs: readonly string[] }>,
  problems: Problems,
): void {
  const card = device.interfaces[index];
  if (card === undefined) return;
  const network = networks.get(card.network);
  if (network === undefined) {
    const near = nearest(card.network, networks.keys());
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const place = device.at('interfaces', index, 'network');
    problems.add('POLICY_REFERENCE_UNKNOWN', place, `unknown network ${card.network}${hint}`);
    return;
  }
  const parsed = ipaddr.parse(card.address);
  const inside = network.cidrs.some((cidr) => {
    const [base, bits] = ipaddr.parseCIDR(cidr);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
  if (!inside) {
    const expected = network.cidrs.join(', ');
    const place = device.at('interfaces', index, 'address');
    problems.add('POLICY_ADDRESS', place, `${card.address} is outside network ${card.network}; expected ${expected}`);
  }
}

interface Owner {
  readonly device: string;
  readonly card: string;
}

/** An address or hardware address has one owner on a network: it establishes who speaks there. */
function checkOwner(device: Device, index: number, owners: Map<string, Owner>, problems: Problems): void {
  const card = device.interfaces[index];
  if (card === undefined) return;
  const values = [
    ['address', ipaddr.parse(card.address).toNormalizedString()],
    ['mac', card.mac],
  ] as const;
  for (const [field, value] of values) {
    if (value === undefined) continue;
    const key = `${card.network} ${field} ${value}`;
    const owner = owners.get(key);
    const isOfThisCard = field === 'mac' && owner?.device === device.id && owner.card === card.name;
    if (owner !== undefined && !isOfThisCard) {
      const place = device.at('interfaces', index, field);
      problems.add('POLICY_ADDRESS', place, `${value} on network ${card.network} belongs to ${owner.device} already`);
    }
    owners.set(key, owner ?? { device: device.id, card: card.name });
  }
}

export function lintPorts(repository: Repository, problems: Problems): void {
  const owners = new Map<string, string>();
  for (const entry of repository.interfaces) {
    for (const device of entry.devices) {
      const key = `${device} ${entry.transport} ${entry.port}`;
      const owner = owners.get(key);
      if (owner !== undefined) {
        const message = `${entry.transport} port ${entry.port} of ${device} is interface ${owner} already`;
        problems.add('POLICY_PORT_DUPLICATE', entry.at('port'), message);
      }
      owners.set(key, owner ?? entry.name);
    }
  }
}

export function lintCidrs(repository: Repository, problems: Problems): void {
  for (const network of repository.networks) {
    network.cidrs.forEach((cidr, index) => hostBits(cidr, () => network.at('cidrs', index), problems));
  }
}
