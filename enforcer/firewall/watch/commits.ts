// What the kernel tells the listeners of NFNLGRP_NFTABLES: the changes of one commit, message by message, and then its
// generation with the process that made it (nf_tables_gen_notify). Commits are counted exactly, because generations are
// consecutive: a gap is what was lost.
import { attributesOf, eachAttribute, numberOf, textOf } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkMessage } from '../../../runtime/linux-netlink-wire.ts';
import { ipv6Text } from '../../../runtime/linux-packet.ts';
import { blockedSets } from '../plan.ts';

/** Groups are numbered from 1. */
export const NFTABLES_GROUP: number = 1 << (7 - 1);

const NFNL_SUBSYS_NFTABLES = 10;
const NEW_GENERATION = 15;
/** `struct nfgenmsg` before the attributes. */
const BODY = 4;

/** An element of a set that packets fill too: only the commit shows that it was not a packet. */
export interface BlockedChange {
  readonly set: string;
  readonly address: string;
  readonly verb: 'added' | 'removed';
  /** Milliseconds that the kernel had left for it; undefined for no end. */
  readonly leftMs: number | undefined;
}

export interface Commit {
  readonly generation: number;
  /** Of the process, as the host numbers it, not a container. */
  readonly pid: number;
  /** Of its netlink socket. */
  readonly port: number;
  /** Its name, at most 15 characters; chosen by the process. */
  readonly process: string;
  /** What it did to the table, in words: the first few; empty when it did nothing to it. */
  readonly changes: readonly string[];
  readonly blocked: readonly BlockedChange[];
  /** It changed other tables. */
  readonly elsewhere: boolean;
}

/** Changes of one commit that are told in words. */
const MAX_CHANGES = 5;
/** Changes of blocked sources in one commit that are undone one by one. */
const MAX_BLOCKED_CHANGES = 10_000;

const kinds: Readonly<Record<number, readonly [verb: 'added' | 'removed', what: string, nameAttribute: number]>> = {
  0: ['added', 'table', 1],
  2: ['removed', 'table', 1],
  3: ['added', 'chain', 3],
  5: ['removed', 'chain', 3],
  6: ['added', 'rule of', 2],
  8: ['removed', 'rule of', 2],
  9: ['added', 'set', 2],
  11: ['removed', 'set', 2],
  12: ['added', 'element of', 2],
  14: ['removed', 'element of', 2],
  18: ['added', 'object', 2],
  20: ['removed', 'object', 2],
  22: ['added', 'flowtable', 2],
  24: ['removed', 'flowtable', 2],
};

/** Collects the messages of a commit until its generation ends it. */
export class CommitReader {
  readonly #table: Buffer;
  readonly #family: number;
  #changes: string[] = [];
  #more = 0;
  #blocked: BlockedChange[] = [];
  #elsewhere = false;
  #last: number | undefined;

  /** `family` as in `struct nfgenmsg`: 1 is inet. */
  constructor(family: number, table: string) {
    this.#family = family;
    this.#table = Buffer.from(`${table}\0`);
  }

  /** The commit that this message ends, with the number of those before it that were lost. Throws LINUX_NETLINK_MALFORMED. */
  take({ type, port, payload }: NetlinkMessage): { readonly commit: Commit; readonly lost: number } | undefined {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
    if ((type & 0xff) !== NEW_GENERATION) {
      if (this.#isOurs(payload)) this.#note(type & 0xff, payload);
      else this.#elsewhere = true;
      return undefined;
    }
    const attributes = attributesOf(payload, BODY);
    const generation = numberOf(attributes.get(1), 4, 'generation');
    const commit = {
      generation,
      pid: numberOf(attributes.get(2), 4, 'process'),
      port,
      process: printable(textOf(attributes.get(3), 'process name')),
      changes: this.#more === 0 ? this.#changes : [...this.#changes, `and ${this.#more} more`],
      blocked: this.#blocked,
      elsewhere: this.#elsewhere,
    };
    const lost = this.#last === undefined ? 0 : (generation - this.#last - 1) >>> 0;
    this.#last = generation;
    this.#changes = [];
    this.#blocked = [];
    this.#more = 0;
    this.#elsewhere = false;
    return { commit, lost };
  }

  /** After an overrun: what is collected may lack its beginning or its end. */
  forget(): void {
    this.#changes = [];
    this.#blocked = [];
    this.#more = 0;
    this.#elsewhere = true;
  }

  /** Of every message about tables the first attribute is the name of one. */
  #isOurs(payload: Buffer): boolean {
    return (
      payload.length >= BODY + 4 + this.#table.length &&
      payload[0] === this.#family &&
      payload.readUInt16LE(BODY) === this.#table.length + 4 &&
      payload.subarray(BODY + 4, BODY + 4 + this.#table.length).equals(this.#table)
    );
  }

  #note(type: number, payload: Buffer): void {
    const kind = kinds[type];
    const wanted = this.#changes.length < MAX_CHANGES;
    const elements = type === 12 || type === 14;
    if (!wanted) this.#more += 1;
    if (!wanted && !elements) return;
    const name = kind === undefined ? '' : nameIn(payload, kind[2]);
    if (wanted) this.#changes.push(kind === undefined ? `message ${type}` : `${kind[0]} ${kind[1]} ${printable(name)}`);
    if (elements && blockedNames.has(name) && this.#blocked.length < MAX_BLOCKED_CHANGES) {
      this.#blocked.push(...blockedChanges(payload, name, type === 12 ? 'added' : 'removed'));
    }
  }
}

const blockedNames = new Set<string>(Object.values(blockedSets));

function nameIn(payload: Buffer, attribute: number): string {
  let name = '';
  eachAttribute(payload, BODY, payload.length, (type, start, end) => {
    if (type === attribute) name = textOf(payload.subarray(start, end), 'name');
  });
  return name;
}

const ELEMENT = { key: 1, timeout: 4, expiration: 5 } as const;

function blockedChanges(payload: Buffer, set: string, verb: 'added' | 'removed'): BlockedChange[] {
  const found: BlockedChange[] = [];
  eachAttribute(payload, BODY, payload.length, (type, start, end) => {
    if (type !== 3) return;
    eachAttribute(payload, start, end, (_, from, to) => {
      const element = attributesOf(payload, from, to);
      const key = element.get(ELEMENT.key);
      const address = key === undefined ? undefined : attributesOf(key).get(1);
      if (address?.length !== 4 && address?.length !== 16) return;
      const left = element.get(ELEMENT.expiration) ?? element.get(ELEMENT.timeout);
      found.push({
        set,
        verb,
        address: address.length === 4 ? [...address].join('.') : ipv6Text(address),
        leftMs: left === undefined ? undefined : numberOf(left, 8, 'time left'),
      });
    });
  });
  return found;
}

/** Names are chosen by others; logs and terminals are not theirs. */
export const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?');
