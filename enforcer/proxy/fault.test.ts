// A protocol that throws: its connection ends, the process and the other connections do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawClient, readRegisters, recordingServer } from '../../test/proxy/wire.ts';
import { decideBySlice } from '../../test/proxy/world.ts';
import type { NewEvent } from '../../audit/spool/index.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { modbusProtocol } from './modbus/exchange.ts';
import { createProxy } from './proxy.ts';
import type { Direction, Message, Protocol } from './protocol.ts';

type Broken = 'push' | 'ask' | 'settle' | 'ask again' | 'tick';

/** Modbus that throws at one point when it sees transaction 666. */
function broken(at: Broken): Protocol {
  const modbus = modbusProtocol(() => 0);
  const fail = (): never => {
    throw new Error(`broken at ${at}`);
  };
  return {
    ...modbus,
    open: (ports) => {
      const exchange = modbus.open(ports);
      let seen = false;
      const push: Direction['push'] = (chunk) => {
        const batch = exchange.client.push(chunk);
        if (chunk.readUInt16BE(0) !== 666) return batch;
        seen = true;
        if (at === 'push') fail();
        return { ...batch, messages: batch.messages.map(brokenMessage) };
      };
      const brokenMessage = (message: Message): Message => {
        let asked = 0;
        return {
          ask: () => (at === 'ask' || (at === 'ask again' && ++asked > 1) ? fail() : message.ask()),
          settle: (judged) => (at === 'settle' ? fail() : message.settle(judged)),
        };
      };
      const { client } = exchange;
      return {
        client: { push, isPartial: () => client.isPartial(), hasRoom: () => client.hasRoom?.() ?? true },
        server: exchange.server,
        isIdle: () => exchange.isIdle(),
        tick: () => (at === 'tick' && seen ? fail() : undefined),
      };
    },
  };
}

for (const at of ['push', 'ask', 'settle', 'ask again', 'tick'] as const) {
  test(`fault: a protocol that throws at ${at} ends its connection with an event, and others go on`, async () => {
    await using server = await recordingServer();
    const events: NewEvent[] = [];
    const protocol = broken(at);
    const stop = new AbortController();
    const clock = new FakeClock();
    const proxy = createProxy(() => protocol, {
      listen: { host: '127.0.0.1', port: 0, destination: { address: '127.0.0.1', port: server.port } },
      decide: decideBySlice(),
      subjectOf: () => ({ id: 'gateway-1', binding: 'ip' }),
      interfaceOf: () => 'plc-modbus',
      emit: async (event) => void events.push(await Promise.resolve(event)),
      // A message is asked again when it had to wait for its record.
      auditDurable: () => true,
      clock,
    });
    const { port } = await proxy.listen();
    const running = proxy.run(stop.signal);
    try {
      await using other = await rawClient(port);
      await other.send(readRegisters(1, 0));
      await other.answer();
      await using client = await rawClient(port);
      await client.send(readRegisters(666, 0));
      if (at === 'tick') {
        await client.answer();
        await clock.advance(1_000);
      }
      await client.closed;
      await other.send(readRegisters(2, 0));
      assert.equal((await other.answer())?.transaction, 2);
      assert.ok(events.some(({ data }) => data['message'] === 'a fault of the proxy'));
      const passed = at === 'tick' ? [readRegisters(666, 0)] : [];
      assert.deepEqual(server.bytes(), Buffer.concat([readRegisters(1, 0), ...passed, readRegisters(2, 0)]));
    } finally {
      stop.abort();
      await running;
    }
  });
}
