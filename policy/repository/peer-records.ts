// What a slice says about each device that it names: labels, and of a peer only the addresses on networks both are on;
// all of them when there is none, for routed sites. Devices on the same networks share the records.
import type { SliceDevice } from '../bundle/slice.ts';
import type { Device } from './repository.ts';

export class PeerRecords {
  readonly #devices: readonly Device[];
  readonly #placeOf: ReadonlyMap<string, number>;
  /** By the networks of who asks, then by the device's place. */
  readonly #seenFrom = new Map<string, Map<number, SliceDevice>>();

  constructor(devices: readonly Device[]) {
    this.#devices = devices;
    this.#placeOf = new Map(devices.map(({ id }, place) => [id, place]));
  }

  /** Ids of the devices that share a network with this one. */
  neighboursOf(device: Device): string[] {
    const networks = new Set(device.interfaces.map((card) => card.network));
    return this.#devices
      .filter((other) => other.interfaces.some((card) => networks.has(card.network)))
      .map(({ id }) => id);
  }

  /** Records of the named devices that the inventory holds, in its order. */
  of(device: Device, named: Iterable<string>): SliceDevice[] {
    const networks = new Set(device.interfaces.map((card) => card.network));
    const key = JSON.stringify([...networks].sort());
    let records = this.#seenFrom.get(key);
    if (records === undefined) this.#seenFrom.set(key, (records = new Map()));
    const places: number[] = [];
    for (const id of named) {
      const place = this.#placeOf.get(id);
      if (place !== undefined) places.push(place);
    }
    const list: SliceDevice[] = [];
    for (const place of places.sort((a, b) => a - b)) {
      const found = records.get(place) ?? recordOf(this.#devices[place], networks);
      if (found === undefined) continue;
      records.set(place, found);
      list.push(found);
    }
    return list;
  }
}

function recordOf(device: Device | undefined, networks: ReadonlySet<string>): SliceDevice | undefined {
  if (device === undefined) return undefined;
  const shared = device.interfaces.filter((card) => networks.has(card.network));
  return { id: device.id, labels: device.labels, interfaces: shared.length > 0 ? shared : device.interfaces };
}
