// Modbus/TCP as the frame sees it: a request asks for one operation, or for two (function 23), and is answered with exception
// 1 when one of them is denied; an answer goes on when a request waits for it. The server is not trusted to speak first.
import { maxRecordedValues } from '../limits.ts';
import {
  type Ask,
  type Direction,
  type Exchange,
  type ExchangePorts,
  isDenied,
  type JudgedOperation,
  type Message,
  type OperationRecord,
  type Outcome,
  type Protocol,
  type ProxyOperation,
} from '../protocol.ts';
import { answers, createFrameReader, exceptionResponse, type FrameReader, type ModbusFrame } from './frame.ts';
import { createRegisterImage, type RegisterImage, type RegisterTable } from './register-image.ts';
import { decodeRequest, type ModbusOperation, type ModbusRequest } from './request.ts';
import { readValues } from './response.ts';

/** An operation with what its registers held before, where that was seen. */
type SeenOperation = ModbusOperation & { readonly before?: readonly number[]; readonly change?: number };

const illegalFunction = 1;
const reading: ReadonlySet<number> = new Set([1, 2, 3, 4]);
const writing: ReadonlySet<number> = new Set([5, 6, 15, 16, 22, 23]);
const tables: ReadonlyMap<number, RegisterTable> = new Map([
  [1, 'coil'],
  [5, 'coil'],
  [15, 'coil'],
  [3, 'holding'],
  [6, 'holding'],
  [16, 'holding'],
  [23, 'holding'],
]);

/** `now` is monotonic, in milliseconds. Connections of its listeners share what is known of the registers behind them. */
export function modbusProtocol(now: () => number): Protocol {
  const image = createRegisterImage(now);
  return {
    name: 'modbus',
    // Modbus/TCP Security names none.
    alpn: [],
    kind: 'modbus',
    open: (ports) => new ModbusExchange(ports, image),
    record: recordOf,
  };
}

function recordOf(operation: ProxyOperation): OperationRecord {
  if (operation.protocol !== 'modbus') throw new TypeError(`${operation.protocol} is not Modbus`);
  const { unit, functionCode, address, quantity, values } = operation;
  const { before, change }: SeenOperation = operation;
  const isWrite = writing.has(functionCode) && !(functionCode === 23 && values.length === 0);
  const isCut = values.length > maxRecordedValues;
  return {
    class: isWrite ? 'write' : reading.has(functionCode) || functionCode === 23 ? 'read' : 'other',
    data: {
      unit,
      function_code: functionCode,
      address,
      quantity,
      ...(values.length === 0 ? {} : { values: isCut ? values.slice(0, maxRecordedValues) : [...values] }),
      ...(isCut ? { truncated: true } : {}),
      ...(before === undefined ? {} : { values_before: before.slice(0, maxRecordedValues) }),
      ...(change === undefined ? {} : { change }),
    },
    key: [unit, functionCode, address, quantity],
    changes: writing.has(functionCode),
  };
}

interface Waiting {
  readonly transaction: number;
  readonly unit: number;
  readonly functionCode: number;
  readonly operations: readonly ModbusOperation[];
  readonly since: number;
}

class ModbusExchange implements Exchange {
  readonly client: Direction;
  readonly server: Direction;
  readonly ports: ExchangePorts;
  readonly image: RegisterImage;
  #waiting: Waiting[] = [];
  #serverName = '';

  constructor(ports: ExchangePorts, image: RegisterImage) {
    this.ports = ports;
    this.image = image;
    const requests = createFrameReader();
    const responses = createFrameReader();
    this.client = {
      ...readBy(requests, (frame) => new Request(frame, this)),
      hasRoom: () => this.#waiting.length < ports.limits.maxOutstanding,
    };
    this.server = readBy(responses, (frame) => new Response(frame, this));
  }

  isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  tick(nowMs: number): undefined {
    const oldest = nowMs - this.ports.limits.responseTimeoutMs;
    if (this.#waiting.some(({ since }) => since <= oldest)) {
      this.#waiting = this.#waiting.filter(({ since }) => since > oldest);
    }
  }

  /** An interface is one server, however many addresses lead to it. */
  serverName(): string {
    return (this.#serverName ||= this.ports.connection().interface);
  }

  expect(frame: ModbusFrame, operations: readonly ModbusOperation[]): void {
    const { transaction, unit, pdu } = frame;
    const since = this.ports.clock.monotonic();
    this.#waiting.push({ transaction, unit, functionCode: pdu[0] ?? 0, operations, since });
  }

  /** The oldest request that it can be the answer to. */
  waitingFor(frame: ModbusFrame): Waiting | undefined {
    return this.#waiting.find((request) => answers(frame, request));
  }

  answered(request: Waiting): void {
    this.#waiting.splice(this.#waiting.indexOf(request), 1);
  }
}

function readBy(
  reader: FrameReader,
  messageOf: (frame: ModbusFrame) => Message,
): Pick<Direction, 'push' | 'isPartial'> {
  return {
    push: (chunk) => {
      const { frames, fault } = reader.push(chunk);
      return { messages: frames.map(messageOf), fault };
    },
    isPartial: reader.isPartial,
  };
}

class Request implements Message {
  readonly #frame: ModbusFrame;
  readonly #exchange: ModbusExchange;
  readonly #request: ModbusRequest;

  constructor(frame: ModbusFrame, exchange: ModbusExchange) {
    this.#frame = frame;
    this.#exchange = exchange;
    this.#request = decodeRequest(frame.unit, frame.pdu);
  }

  ask(): Ask {
    const request = this.#request;
    switch (request.kind) {
      case 'malformed':
        return { kind: 'close', why: request.why };
      case 'illegal': {
        const why = `illegal in the protocol, exception ${request.exception}`;
        const outcome = { back: exceptionResponse(this.#frame, request.exception) };
        return { kind: 'refuse', why, operation: request.operation, outcome };
      }
      case 'request':
        return { kind: 'operations', combine: 'all', operations: request.operations.map((one) => this.#seen(one)) };
    }
  }

  settle(judged: readonly JudgedOperation[]): Outcome {
    if (judged.length === 0 || judged.some(isDenied)) {
      if (this.#exchange.ports.onDeny() === 'close') return { close: 'reset' };
      return { back: exceptionResponse(this.#frame, illegalFunction) };
    }
    return { onward: this.#frame.bytes, done: () => this.#sent() };
  }

  #sent(): void {
    if (this.#request.kind !== 'request') return;
    const { operations } = this.#request;
    this.#exchange.expect(this.#frame, operations);
    // Before the answer: the next write, pipelined behind this one, is measured against it.
    for (const operation of operations) this.#saw(operation);
  }

  #saw({ unit, functionCode, address, values }: ModbusOperation): void {
    const table = tables.get(functionCode);
    if (table === undefined || values.length === 0) return;
    this.#exchange.image.wrote(this.#exchange.serverName(), unit, table, address, values);
  }

  /** With what is known of its registers. */
  #seen(operation: ModbusOperation): SeenOperation {
    const { unit, functionCode, address, quantity, values } = operation;
    const table = tables.get(functionCode);
    if (table === undefined || values.length === 0) return operation;
    const server = this.#exchange.serverName();
    const { image } = this.#exchange;
    const before = image.last(server, unit, table, address, quantity);
    if (before === undefined) return operation;
    const change = table === 'holding' ? image.change(server, unit, table, address, values) : undefined;
    return { ...operation, before, ...(change === undefined ? {} : { change }) };
  }
}

class Response implements Message {
  readonly #frame: ModbusFrame;
  readonly #exchange: ModbusExchange;

  constructor(frame: ModbusFrame, exchange: ModbusExchange) {
    this.#frame = frame;
    this.#exchange = exchange;
  }

  ask(): Ask {
    return { kind: 'pass' };
  }

  settle(): Outcome {
    const request = this.#exchange.waitingFor(this.#frame);
    // Nobody asked, or stopped waiting.
    if (request === undefined) return {};
    return {
      onward: this.#frame.bytes,
      done: () => {
        this.#exchange.answered(request);
        this.#learn(request);
      },
    };
  }

  #learn({ operations, unit }: Waiting): void {
    const read = operations.find(({ values }) => values.length === 0);
    const table = read === undefined ? undefined : tables.get(read.functionCode);
    if (read === undefined || table === undefined) return;
    const values = readValues(this.#frame.pdu, read);
    if (values !== undefined) this.#exchange.image.saw(this.#exchange.serverName(), unit, table, read.address, values);
  }
}
