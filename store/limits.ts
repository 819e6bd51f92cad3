// Named limits of the store, with unit and reason.

/** Tries after the first when transactions conflict: 200 writers on one row through 10 connections need about 20. */
export const conflictRetries = 30;
/** Short, because a conflict ends when the other transaction commits: a few milliseconds. */
export const conflictBackoff = { firstMs: 4, maxMs: 250 } as const;

/** How long a statement waits for another process that holds the SQLite file, before DATABASE_BUSY. */
export const sqliteBusyMs = 5_000;
/** How long SQLite itself blocks the event loop per try; the rest of the wait is asynchronous. */
export const sqliteBlockMs = 20;
/** Prepared statements kept; rooms have some dozens of distinct queries. */
export const preparedStatements = 256;

/** Connections to PostgreSQL per process; more only queue inside the server. */
export const postgresConnections = 10;
/** Time to get a connection, including the wait for a free one. */
export const postgresConnectMs = 5_000;
/** A statement that runs longer is cancelled by the server; ours take milliseconds. */
export const postgresStatementMs = 30_000;
/** A server that is silent for longer is taken for gone. */
export const postgresQueryMs = 35_000;

/** scrypt cost: 2^15 blocks of 1 KiB (32 MiB), about 0.1 s; OWASP's minimum class for scrypt. */
export const scryptCost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
/** A sealed file holds keys, not data. */
export const sealedFileBytes = 1024 * 1024;
