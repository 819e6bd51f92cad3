// Tables of response: device states, their history, and the orders. Every row is keyed by trust domain.
import type { Migration } from '../../store/migrations.ts';

export interface ResponseTables {
  response_devices: {
    trust_domain: string;
    device_id: string;
    state: string;
    /** 0 or 1: after a recovery of the software class. */
    reduced: number;
    attestation_class: string;
    attested_at: number;
    risk: number;
    /** Time of the last change of state; an appraisal before it does not count for a release. */
    changed_at: number;
  };
  response_transitions: {
    trust_domain: string;
    device_id: string;
    number: number;
    at: number;
    from_state: string;
    to_state: string;
    cause: string;
    by: string;
  };
  response_orders: {
    trust_domain: string;
    sequence: number;
    verb: string;
    device_id: string;
    jws: string;
    issued_at: number;
  };
  /** One row a trust domain: locked by whoever allots a sequence or a version. */
  response_counters: {
    trust_domain: string;
    order_sequence: number;
    states_version: number;
  };
  /** Island mode of a device: what is ordered, and what the device said last. */
  response_islands: {
    trust_domain: string;
    device_id: string;
    /** 0 when no order stands. */
    order_sequence: number;
    ordered_at: number;
    cause: string;
    by: string;
    /** Causes in the device's words, `ordered local`; empty for none. */
    reported: string;
    reported_at: number;
  };
  /** Blocked addresses: by order, or as a device learned them. */
  response_blocks: {
    trust_domain: string;
    /** That blocks; empty for the whole fleet. */
    device_id: string;
    address: string;
    /** 0 for one that the device learned. */
    order_sequence: number;
    /** Of a learned one, e.g. `trap:telnet`. */
    rule: string;
    since: number;
    until: number;
    cause: string;
    by: string;
  };
  /** One row a trust domain: the next log index to be read. */
  response_reports: {
    trust_domain: string;
    next_index: number;
  };
  response_actions: {
    trust_domain: string;
    id: string;
    playbook_id: string;
    finding_id: string;
    action: string;
    device_id: string;
    state: string;
    why: string;
    at: number;
    order_sequence: number;
  };
}

export const responseMigrations: readonly Migration[] = [
  {
    id: 1,
    name: 'device states, orders, actions',
    up: async (db) => {
      await db.schema
        .createTable('response_devices')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('reduced', 'integer', (column) => column.notNull())
        .addColumn('attestation_class', 'text', (column) => column.notNull())
        .addColumn('attested_at', 'bigint', (column) => column.notNull())
        .addColumn('risk', 'integer', (column) => column.notNull())
        .addColumn('changed_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_devices_key', ['trust_domain', 'device_id'])
        .execute();
      await db.schema
        .createTable('response_transitions')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('number', 'bigint', (column) => column.notNull())
        .addColumn('at', 'bigint', (column) => column.notNull())
        .addColumn('from_state', 'text', (column) => column.notNull())
        .addColumn('to_state', 'text', (column) => column.notNull())
        .addColumn('cause', 'text', (column) => column.notNull())
        .addColumn('by', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_transitions_key', ['trust_domain', 'device_id', 'number'])
        .execute();
      await db.schema
        .createTable('response_orders')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('sequence', 'bigint', (column) => column.notNull())
        .addColumn('verb', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('jws', 'text', (column) => column.notNull())
        .addColumn('issued_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_orders_key', ['trust_domain', 'sequence'])
        .execute();
      await db.schema
        .createTable('response_counters')
        .addColumn('trust_domain', 'text', (column) => column.primaryKey())
        .addColumn('order_sequence', 'bigint', (column) => column.notNull())
        .addColumn('states_version', 'bigint', (column) => column.notNull())
        .execute();
      await db.schema
        .createTable('response_actions')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('id', 'text', (column) => column.notNull())
        .addColumn('playbook_id', 'text', (column) => column.notNull())
        .addColumn('finding_id', 'text', (column) => column.notNull())
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('why', 'text', (column) => column.notNull())
        .addColumn('at', 'bigint', (column) => column.notNull())
        .addColumn('order_sequence', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_actions_key', ['trust_domain', 'id'])
        .execute();
    },
  },
  {
    id: 2,
    name: 'island mode and blocks',
    up: async (db) => {
      await db.schema
        .createTable('response_islands')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('order_sequence', 'bigint', (column) => column.notNull())
        .addColumn('ordered_at', 'bigint', (column) => column.notNull())
        .addColumn('cause', 'text', (column) => column.notNull())
        .addColumn('by', 'text', (column) => column.notNull())
        .addColumn('reported', 'text', (column) => column.notNull())
        .addColumn('reported_at', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_islands_key', ['trust_domain', 'device_id'])
        .execute();
      await db.schema
        .createTable('response_blocks')
        .addColumn('trust_domain', 'text', (column) => column.notNull())
        .addColumn('device_id', 'text', (column) => column.notNull())
        .addColumn('address', 'text', (column) => column.notNull())
        .addColumn('order_sequence', 'bigint', (column) => column.notNull())
        .addColumn('rule', 'text', (column) => column.notNull())
        .addColumn('since', 'bigint', (column) => column.notNull())
        .addColumn('until', 'bigint', (column) => column.notNull())
        .addColumn('cause', 'text', (column) => column.notNull())
        .addColumn('by', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('response_blocks_key', ['trust_domain', 'address', 'device_id', 'order_sequence'])
        .execute();
      await db.schema
        .createTable('response_reports')
        .addColumn('trust_domain', 'text', (column) => column.primaryKey())
        .addColumn('next_index', 'bigint', (column) => column.notNull())
        .execute();
    },
  },
];
