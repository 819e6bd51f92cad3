// Numbers of linux/netfilter/nf_tables.h and nfnetlink.h, as far as the firewall speaks them.

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_BATCH_BEGIN = 0x10;
export const NFNL_BATCH_END = 0x11;
/** Attribute of BATCH_BEGIN: the batch is refused with ERESTART when the ruleset is of another generation. */
export const NFNL_BATCH_GENID = 1;
export const NFPROTO_INET = 1;

const message = (number: number): number => (NFNL_SUBSYS_NFTABLES << 8) | number;
export const NFT_MSG = {
  newTable: message(0),
  getTable: message(1),
  deleteTable: message(2),
  newChain: message(3),
  getChain: message(4),
  deleteChain: message(5),
  newRule: message(6),
  getRule: message(7),
  deleteRule: message(8),
  newSet: message(9),
  getSet: message(10),
  deleteSet: message(11),
  newElements: message(12),
  getElements: message(13),
  deleteElements: message(14),
  newGeneration: message(15),
  getGeneration: message(16),
  getObject: message(19),
  getFlowtable: message(23),
} as const;

export const TABLE = { name: 1, flags: 2, userdata: 6 } as const;
export const TABLE_FLAG = { dormant: 0x1, owner: 0x2, persist: 0x4 } as const;
export const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
export const HOOK = { number: 1, priority: 2 } as const;
export const RULE = { table: 1, chain: 2, handle: 3, expressions: 4, position: 6, userdata: 7 } as const;
export const SET = {
  table: 1,
  name: 2,
  flags: 3,
  keyType: 4,
  keyLength: 5,
  dataType: 6,
  dataLength: 7,
  description: 9,
  id: 10,
  timeout: 11,
  userdata: 13,
  expression: 17,
} as const;
export const SET_FLAG = {
  anonymous: 0x1,
  constant: 0x2,
  interval: 0x4,
  map: 0x8,
  timeout: 0x10,
  eval: 0x20,
  concat: 0x80,
} as const;
export const SET_DESCRIPTION = { size: 1, concat: 2 } as const;
export const ELEMENTS = { table: 1, set: 2, list: 3, setId: 4 } as const;
export const ELEMENT = {
  key: 1,
  data: 2,
  flags: 3,
  timeout: 4,
  expiration: 5,
  userdata: 6,
  expression: 7,
  keyEnd: 10,
  expressions: 11,
} as const;
export const ELEMENT_INTERVAL_END = 1;
export const DATA = { value: 1, verdict: 2 } as const;
export const VERDICT = { code: 1, chain: 2 } as const;
/** NFT_DATA_VERDICT: the data type of verdict maps. */
export const VERDICT_TYPE = 0xffffff00;
/** Data type that libnftables gives to marks. */
export const MARK_TYPE = 19;
/** Bytes of `struct nft_verdict`, which libnftables declares as the data length of verdict maps. */
export const VERDICT_LENGTH = 16;
export const LIST_ELEMENT = 1;
export const EXPRESSION = { name: 1, data: 2 } as const;

/** NF_DROP and NF_ACCEPT of linux/netfilter.h, and the verdicts that nf_tables adds as negative numbers. */
export const VERDICT_CODE = {
  drop: 0,
  accept: 1,
  continue: -1,
  jump: -3,
  goto: -4,
  return: -5,
} as const;

const verdictNames = new Map<number, string>(Object.entries(VERDICT_CODE).map(([name, code]) => [code, name]));
export const verdictName = (code: number): string => verdictNames.get(code) ?? `verdict-${code}`;

export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3 } as const;
/** Registers of 16 bytes (1 to 4) and the same memory in steps of 4 bytes (8 to 23). */
export const REGISTER_VERDICT = 0;
export const register = (offset: number): number => (offset % 16 === 0 ? 1 + offset / 16 : 8 + offset / 4);
