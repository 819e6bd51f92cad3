// A Modbus connection with one request in flight, as cheap as it can be made: what it costs is in direct figures too.
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface Target {
  readonly address: string;
  readonly port: number;
  /** Local address: which peer it is. */
  readonly from: string;
}

export class ModbusClient {
  readonly socket: Socket;
  readonly #request: Buffer = Buffer.from([0, 0, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]);
  #transaction = 0;
  #received: Buffer = Buffer.alloc(0);
  #answered: ((answer: Buffer | undefined) => void) | undefined;
  #ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#settle(undefined);
    });
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Reads registers with a request of 12 bytes; undefined when the connection ends first. Throws for another's answer. */
  read(address: number, quantity = 1): Promise<Buffer | undefined> {
    return this.ask(3, address, quantity);
  }

  /** Function code and two words. */
  async ask(functionCode: number, first: number, second: number): Promise<Buffer | undefined> {
    if (this.#ended) return undefined;
    const request = this.#request;
    this.#transaction = (this.#transaction + 1) & 0xffff;
    request.writeUInt16BE(this.#transaction, 0);
    request[7] = functionCode;
    request.writeUInt16BE(first, 8);
    request.writeUInt16BE(second, 10);
    const transaction = this.#transaction;
    const answer = await new Promise<Buffer | undefined>((resolve) => {
      this.#answered = resolve;
      // A copy: it may be written later, and the next request uses the same bytes.
      this.socket.write(Buffer.from(request));
    });
    if (answer !== undefined && answer.readUInt16BE(0) !== transaction) throw new Error('an answer to another request');
    return answer;
  }

  close(): void {
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (received.length < 8 || received.length < 6 + received.readUInt16BE(4)) {
      this.#received = received;
      return;
    }
    const length = 6 + received.readUInt16BE(4);
    this.#received = received.subarray(length);
    this.#settle(received.subarray(0, length));
  }

  #settle(answer: Buffer | undefined): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(answer);
  }
}

export async function connectModbus({ address, port, from }: Target): Promise<ModbusClient> {
  const socket = connect({ host: address, port, localAddress: from, noDelay: true });
  await once(socket, 'connect');
  return new ModbusClient(socket);
}

/** The number that the server gave the request, or undefined when this is not its answer to a read. */
export const numberIn = (answer: Buffer | undefined): number | undefined =>
  answer === undefined || answer.readUInt8(7) !== 3 ? undefined : answer.readUInt16BE(9);

/** The proxy's answer to a denied request: exception 1, illegal function. */
export const isRefusal = (answer: Buffer | undefined): boolean =>
  answer !== undefined && (answer.readUInt8(7) & 0x80) !== 0 && answer.readUInt8(8) === 1;
