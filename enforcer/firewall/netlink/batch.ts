// One transaction of nf_tables: messages between BATCH_BEGIN and BATCH_END, sent at once, done all or not at all. Every
// message has a name, so that a refusal says what was refused.
import { exchange, MAX_SEND_BUFFER_BYTES } from '../../../runtime/linux-netlink.ts';
import type { NetlinkSocket } from '../../../runtime/linux-netlink.ts';
import { NetlinkWriter, NLM_F } from '../../../runtime/linux-netlink-wire.ts';
import type { NetlinkRefusal } from '../../../runtime/linux-netlink-wire.ts';
import { firewallErrors } from '../errors.ts';
import { priorityOf } from '../listing.ts';
import type { Chain, KeyType, Rule, SetDefinition, SetElement } from '../plan.ts';
import { ruleText } from '../render.ts';
import {
  CHAIN,
  ELEMENTS,
  HOOK,
  HOOKS,
  NFNL_BATCH_BEGIN,
  NFNL_BATCH_END,
  NFNL_BATCH_GENID,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NFT_MSG,
  RULE,
  TABLE,
  VERDICT_CODE,
} from './codes.ts';
import { ANONYMOUS_NAME, anonymousSets, writeRule } from './rules.ts';
import { keyLayout } from './key-bytes.ts';
import { rawElements, writeAnonymousSet, writeElement, writeSet } from './sets.ts';
import type { RawElement } from './sets.ts';

/** An attribute's length has 16 bits; a longer list of elements becomes several messages. */
const MAX_LIST_BYTES = 60_000;

const { request, create, append } = NLM_F;

/** Names the part of a message that the kernel points at. */
type Name = (offset: number | undefined) => string;

export class Batch {
  readonly #out: NetlinkWriter;
  readonly #table: string;
  readonly #names: Name[] = [];
  #setIds = 0;

  /** `generation`: the batch is refused when the ruleset is of another one (any table's); 0 or absent is unchecked. */
  constructor(table: string, options: { readonly generation?: number; readonly expectedBytes?: number } = {}) {
    this.#table = table;
    this.#out = new NetlinkWriter(options.expectedBytes ?? 16_384);
    const { generation } = options;
    // Of interest to the kernel only: the head's errors are those of the commit.
    this.#out.begin(NFNL_BATCH_BEGIN, request).netfilter(0, NFNL_SUBSYS_NFTABLES);
    if (generation !== undefined) this.#out.u32(NFNL_BATCH_GENID, generation);
    this.#names.push(() => 'the transaction');
  }

  /** Without `flags` a table that is there keeps its own: those of an owned one cannot be taken away. */
  addTable(flags?: number): this {
    const out = this.#begin(NFT_MSG.newTable, create, () => `table ${this.#table}`).string(TABLE.name, this.#table);
    if (flags !== undefined) out.u32(TABLE.flags, flags);
    return this;
  }

  deleteTable(): this {
    this.#begin(NFT_MSG.deleteTable, 0, () => `table ${this.#table}`).string(TABLE.name, this.#table);
    return this;
  }

  addChain(chain: Pick<Chain, 'name' | 'hook' | 'after' | 'policy'>): this {
    const { name, hook, policy } = chain;
    const out = this.#begin(NFT_MSG.newChain, create, () => `chain ${name}`)
      .string(CHAIN.table, this.#table)
      .string(CHAIN.name, name);
    if (hook === undefined) return this;
    out.nested(CHAIN.hook, () => out.u32(HOOK.number, HOOKS[hook]).u32(HOOK.priority, priorityOf(chain) ?? 0));
    out.u32(CHAIN.policy, VERDICT_CODE[policy ?? 'drop']).string(CHAIN.type, 'filter');
    return this;
  }

  /** Takes away all rules of a chain. */
  flushChain(name: string): this {
    this.#begin(NFT_MSG.deleteRule, 0, () => `rules of chain ${name}`)
      .string(RULE.table, this.#table)
      .string(RULE.chain, name);
    return this;
  }

  deleteChain(name: string): this {
    this.#begin(NFT_MSG.deleteChain, 0, () => `chain ${name}`)
      .string(CHAIN.table, this.#table)
      .string(CHAIN.name, name);
    return this;
  }

  /** Adds the rules behind those that the chain has. */
  addRules(chain: Pick<Chain, 'name' | 'rules'>): this {
    chain.rules.forEach((rule, index) => this.#rule(chain.name, rule, index, create | append));
    return this;
  }

  /** Puts a rule in the place of the one with this handle. */
  replaceRule(chain: string, rule: Rule, handle: bigint): this {
    return this.#rule(chain, rule, undefined, NLM_F.replace, handle);
  }

  deleteRule(chain: string, handle: bigint): this {
    this.#begin(NFT_MSG.deleteRule, 0, () => `rule ${handle} of chain ${chain}`)
      .string(RULE.table, this.#table)
      .string(RULE.chain, chain)
      .u64(RULE.handle, handle);
    return this;
  }

  addSet(set: SetDefinition): this {
    const out = this.#begin(NFT_MSG.newSet, create, () => `set ${set.name}`);
    this.#setIds += 1;
    writeSet(out, this.#table, set, this.#setIds);
    return this;
  }

  deleteSet(name: string): this {
    // The set's attributes begin as the table's and name's of an element list.
    this.#begin(NFT_MSG.deleteSet, 0, () => `set ${name}`)
      .string(ELEMENTS.table, this.#table)
      .string(ELEMENTS.set, name);
    return this;
  }

  /** `fresh`: the set is of this batch. Elements whose time has come are left out; `now` in milliseconds since the epoch. */
  addElements(set: SetDefinition, elements: readonly SetElement[], now: number, fresh: boolean): this {
    const live = elements.filter((element) => element.until === undefined || element.until > now);
    return this.#elements({
      type: NFT_MSG.newElements,
      flags: create,
      set,
      elements: rawElements(set, live, fresh),
      now,
    });
  }

  /** `now` in milliseconds since the epoch. */
  deleteElements(set: SetDefinition, elements: readonly SetElement[], now: number): this {
    // One that ends by itself may be gone already: added first, there is always one to delete.
    const timed = elements
      .filter((element) => element.until !== undefined)
      .map((element) => ({ ...element, until: now + 1_000 }));
    if (timed.length > 0) this.addElements(set, timed, now, false);
    const gone = rawElements(
      set,
      elements.map(({ key }) => ({ key })),
      false,
    );
    return this.#elements({ type: NFT_MSG.deleteElements, flags: 0, set, elements: gone, now });
  }

  /**
   * Sends the batch. Throws FIREWALL_PERMISSION, FIREWALL_TOO_LARGE, FIREWALL_DRIFT (another generation) or
   * FIREWALL_KERNEL_REFUSED with the name of what was refused; nothing is changed then.
   */
  commit(socket: Pick<NetlinkSocket, 'send' | 'read'>): void {
    if (this.#names.length === 1) return;
    // The kernel acknowledges after the commit, whichever message asks.
    this.#out.acknowledge();
    this.#out.begin(NFNL_BATCH_END, request).netfilter(0, NFNL_SUBSYS_NFTABLES);
    this.#names.push(() => 'the end of the transaction');
    const finished = this.#out.finish();
    if (finished.bytes.length > MAX_SEND_BUFFER_BYTES / 2) {
      throw firewallErrors.error('FIREWALL_TOO_LARGE', `a transaction of ${finished.bytes.length} bytes`);
    }
    const [first] = exchange(socket, finished);
    if (first !== undefined) throw this.#refused(first);
  }

  #refused({ errno, reason, offset, message }: NetlinkRefusal): Error {
    const name = this.#names[message]?.(offset) ?? `message ${message}`;
    const what = `${name}: ${errno}${reason === undefined ? '' : ` (${reason})`}`;
    if (errno === 'EPERM' || errno === 'EACCES') return firewallErrors.error('FIREWALL_PERMISSION', what);
    if (errno === 'ERESTART') {
      return firewallErrors.error('FIREWALL_DRIFT', 'another program changed the rules since they were read');
    }
    if (tooLarge.has(errno)) return firewallErrors.error('FIREWALL_TOO_LARGE', what);
    return firewallErrors.error('FIREWALL_KERNEL_REFUSED', what);
  }

  #begin(type: number, flags: number, name: Name): NetlinkWriter {
    this.#names.push(name);
    return this.#out.begin(type, request | flags).netfilter(NFPROTO_INET);
  }

  #rule(chain: string, rule: Rule, index: number | undefined, flags: number, handle?: bigint): this {
    const place = index === undefined ? `chain ${chain}` : `chain ${chain}, rule ${index + 1}`;
    const name = (): string => `${place} (${ruleText(rule)})`;
    const ids = anonymousSets(rule).map((set) => {
      this.#setIds += 1;
      const id = this.#setIds;
      writeAnonymousSet(this.#begin(NFT_MSG.newSet, create, name), this.#table, set, id);
      const elements = set.keys.map((key) => ({ key }));
      this.#elements({ type: NFT_MSG.newElements, flags: create, set: nameless, elements, now: 0, name, id });
      return id;
    });
    const out = this.#begin(NFT_MSG.newRule, flags, name).string(RULE.table, this.#table).string(RULE.chain, chain);
    if (handle !== undefined) out.u64(RULE.handle, handle);
    out.nested(RULE.expressions, () => writeRule(out, rule, ids));
    return this;
  }

  #elements({ type, flags, set, elements, now, name, id }: ElementList): this {
    const layout = keyLayout(set.type);
    for (let from = 0; from < elements.length;) {
      const starts: number[] = [];
      const first = from;
      const messageAt = this.#out.length;
      const named = name ?? ((offset) => elementName(set.name, elements, first, starts, offset));
      const out = this.#begin(type, flags, named);
      out.string(ELEMENTS.table, this.#table).string(ELEMENTS.set, set.name);
      if (id !== undefined) out.u32(ELEMENTS.setId, id);
      const list = out.open(ELEMENTS.list);
      const end = out.length + MAX_LIST_BYTES;
      for (; from < elements.length && out.length < end; from += 1) {
        const element = elements[from];
        if (element === undefined) break;
        starts.push(out.length - messageAt);
        writeElement(out, layout, element, now);
      }
      out.close(list);
    }
    return this;
  }
}

interface ElementList {
  readonly type: number;
  readonly flags: number;
  readonly set: { readonly name: string; readonly type: readonly KeyType[] };
  readonly elements: readonly RawElement[];
  readonly now: number;
  /** What the elements belong to, where they have no name themselves. */
  readonly name?: Name;
  readonly id?: number;
}

/** Its keys are bytes already. */
const nameless = { name: ANONYMOUS_NAME, type: [] } as const;
const tooLarge = new Set(['EMSGSIZE', 'ENOSPC', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'E2BIG']);

/** The element at the offset that the kernel points at. */
function elementName(
  set: string,
  elements: readonly RawElement[],
  first: number,
  starts: readonly number[],
  offset: number | undefined,
): string {
  const at = offset === undefined ? -1 : starts.findLastIndex((start) => start <= offset);
  const element = at < 0 ? undefined : elements[first + at]?.element;
  return element === undefined ? `elements of set ${set}` : `element ${element.key.join(' . ')} of set ${set}`;
}
