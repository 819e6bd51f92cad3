// Named bounds of the engine, each with its unit and reason.

/** Characters of a request path, query excluded: nginx and Envoy accept 8 KiB request lines by default. */
export const MAX_PATH_LENGTH = 8_192;
/** Characters of a request target, query included; twice that. */
export const MAX_TARGET_LENGTH = 16_384;
/** Segments of a request path; deeper than any real API, and the bound of a trie walk. */
export const MAX_PATH_SEGMENTS = 256;
/** Characters of a topic, a filter or a client id: what the length of an MQTT string can say (MQTT 5.0, 1.5.4). */
export const MAX_TOPIC_LENGTH = 65_535;
export const MAX_CLIENT_ID_LENGTH = 65_535;
/** Levels of a topic: mosquitto refuses more, and it is the depth of a trie walk. */
export const MAX_TOPIC_LEVELS = 200;
/** Milliseconds an attribute may be dated in the future; clocks of edge and cloud differ a little. */
export const MAX_FUTURE_MS = 5 * 60_000;
/** Milliseconds since the epoch that a date can hold (ECMA-262, 21.4.1.1). */
export const MAX_TIME_MS = 8.64e15;
/** Characters of one attribute value, and texts of a list: no source of attributes needs more. */
export const MAX_ATTRIBUTE_LENGTH = 4_096;
export const MAX_ATTRIBUTE_ITEMS = 256;
/** Attributes of a request that the record of a decision holds, and their characters together. */
export const MAX_RECORDED_ATTRIBUTES = 96;
export const MAX_RECORDED_LENGTH = 4_096;
/** Grants with a limit times subjects whose uses are counted; beyond it a new one is denied. A few MB. */
export const MAX_USE_KEYS = 65_536;
/** Uses whose time is kept, all rates together: 8 MB. */
export const MAX_USE_TIMES = 1_000_000;
/** Milliseconds between two looks for windows that are over, when there is no room. */
export const USE_SWEEP_MS = 1_000;

/** Characters of one value in a Casbin request: a path fits. */
export const MAX_CASBIN_VALUE_LENGTH = 8_192;
/** Characters of one column of policy.csv. */
export const MAX_CASBIN_COLUMN_LENGTH = 1_024;
/** Lines of one policy.csv: the largest that the field publishes figures for. */
export const MAX_CASBIN_LINES = 200_000;
/** Characters of one matcher. */
export const MAX_MATCHER_LENGTH = 4_096;
/** Brackets and negations inside each other; keeps the recursive parser far from the stack's end. */
export const MAX_MATCHER_DEPTH = 64;
/** Names after the field in r.field.name.name. */
export const MAX_ATTRIBUTE_DEPTH = 4;
/** Ways in which a matcher can come true, each with its own index; a matcher with more is asked about line by line. */
export const MAX_MATCHER_WAYS = 16;
/** Lines that one question may have to be compared with, and nodes of a trie on the way; a few milliseconds. */
export const MAX_CASBIN_STEPS = 20_000;
/**
 * What the Casbin questions of one decision may cost together, about 100 ms. A unit is an instruction of a regex for a
 * character of the value, about 4 ns.
 */
export const MAX_DECISION_WORK = 25_000_000;
/** Units of a line that is compared, or a node of a trie. */
export const WORK_OF_A_STEP = 50;
/** Instructions of one regex, and of all regexes of a policy: a few kilobytes, a few hundred megabytes. */
export const MAX_REGEX_SIZE = 2_000;
export const MAX_REGEX_SIZE_TOGETHER = 1_000_000;
/** Characters of one model.conf; the matcher has its own bound. */
export const MAX_CASBIN_MODEL_LENGTH = 65_536;
/** Links of a role chain; the reference implementation silently stops at the same number. */
export const MAX_ROLE_DEPTH = 10;
/** Pairs (member, role) after closing all chains: a few hundred MB at worst, refused above. */
export const MAX_ROLE_PAIRS = 2_000_000;

/** Functions in the table of a compiled package; opa writes one for each rule and each function of its library. */
export const MAX_REGO_TABLE = 65_536;
/** Pages of 64 KiB that a Rego package may use, its data and the request included. */
export const MAX_REGO_MEMORY_PAGES = 256;
/** Instructions that one question to a Rego package may pay for: a match with \p{L} needs 35 million, most packages less than one. */
export const MAX_REGO_FUEL = 50_000_000;
/** Bytes of the input document of a Rego package: a request line and every attribute fit many times. */
export const MAX_REGO_INPUT_BYTES = 64 * 1024;
/** Bytes of the decision of a Rego package. */
export const MAX_REGO_RESULT_BYTES = 64 * 1024;
/** Started packages that are kept for the next bundle, 16 MiB of address space each; an edge has a handful. */
export const MAX_REGO_PACKAGES = 16;
/** Entries of the deny set of a decision, and characters of each. */
export const MAX_REGO_DENIES = 64;
export const MAX_REGO_DENY_LENGTH = 512;
/** Requests that a Casbin model or a Rego package is asked about for one operation by name; with more it is refused. */
export const MAX_NAMED_REQUESTS = 16;
