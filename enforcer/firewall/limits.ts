// Numbers of the firewall, each with its unit and reason.

/** Rules in one chain. Each rule costs every packet that gets that far; sets cost the same at 10 and at 100,000 entries. */
export const MAX_RULES_PER_CHAIN = 64;

/** Elements in one set: 100,000 load in about a second and 100 MB of nft; more is refused, never cut off. */
export const MAX_SET_ELEMENTS = 100_000;

/** Services compared while the rules of one tier become disjoint boxes: some seconds; beyond it the policy is refused. */
export const MAX_TIER_STEPS = 10_000_000;

/** `log prefix` of nftables holds 127 characters. */
export const MAX_LOG_PREFIX = 127;

/** Element comments hold 128 bytes; longer ones lose their tail. */
export const MAX_ELEMENT_COMMENT = 120;

/** Saved plan: one of 100,000 peers with an IPv4 address each has 30 MB, and a host may have several full sets and both families. */
export const MAX_SAVED_PLAN_BYTES = 256 * 1024 * 1024;

/** Milliseconds after which a spawned nft, ip or conntrack counts as hung. */
export const COMMAND_TIMEOUT_MS = 20_000;

/** Bytes of output kept of a command; a table of 100,000 elements lists as about 12 MB. */
export const MAX_COMMAND_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Milliseconds over which identical denials become one event. */
export const AGGREGATION_MS = 1_000;

/**
 * Different denials told apart in one window. What exceeds it is told apart only by rule and source, and beyond twice
 * the number only by rule, so that a flood of invented ports and addresses cannot flood the spool. Counts stay exact.
 */
export const MAX_DISTINCT_DENIALS = 1_000;

/** Characters of a control group's path, which with its inode is the key of an element, and its levels below the root. */
export const MAX_GROUP_PATH = 179;
export const MAX_GROUP_LEVEL = 16;

/** Users and control groups whose packets are told apart. Each has maps of its own of all rules, and costs answers one more chain. */
export const MAX_WORKLOAD_USERS = 32;

/** Milliseconds for which the kernel keeps a candidate live without a confirmation. */
export const CONFIRM_MS = 10_000;

/** Milliseconds before the end in which a confirmation comes too late to be sure of. */
export const CONFIRM_MARGIN_MS = 1_000;

/** Further readings of a table that seems to lack an element. */
export const REREADS = 4;

/** Plans in a row that nobody confirmed; their denies are kept, so they cannot go on for ever. A newer bundle is tried. */
export const MAX_UNCONFIRMED_PLANS = 8;

/** The same for newer and newer bundles, each of which somebody published. */
export const MAX_KEPT_DENIES = 64;

/** Milliseconds between two looks at the table that nothing asked for. */
export const LOOK_EVERY_MS = 5_000;

/** Milliseconds of looking before looks are spread out; they are forgotten as fast as time passes between looks. */
export const LOOK_BURST_MS = 1_000;

/** Milliseconds for which foreign commits wait after a long look; a look at 100,000 elements takes about 200. */
export const MAX_LOOK_PAUSE_MS = 500;

/** Milliseconds by which the clock may be set before the kernel's timers are made anew. */
export const CLOCK_STEP_MS = 1_000;

/** Events about foreign changes, of each kind; what is beyond them is counted in the next. */
export const DRIFT_EVENTS = { burst: 20, perSecond: 1 } as const;
