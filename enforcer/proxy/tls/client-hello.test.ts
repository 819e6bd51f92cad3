import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { before, describe, test } from 'node:test';
import { connect, type ConnectionOptions, createSecureContext, TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { requires } from '../../../test/support/capabilities.ts';
import { testAuthority } from '../../../test/support/certificates.ts';
import { type ClientHello, createClientHelloReader } from './client-hello.ts';
import { createRecords } from './records.ts';

interface Read {
  readonly hello?: ClientHello;
  readonly why?: string;
  readonly more?: true;
}

/** Reads the chunks as they come, and ends with the first hello. */
function read(...chunks: readonly Buffer[]): Read {
  const records = createRecords();
  const reader = createClientHelloReader();
  for (const chunk of chunks) {
    const { pieces, fault } = records.push(chunk);
    for (const piece of pieces) {
      const progress = reader.push(piece);
      if (progress.kind === 'hello') return { hello: progress.hello };
      if (progress.kind === 'refused') return { why: progress.why };
    }
    if (fault !== undefined) return { why: fault };
  }
  return { more: true };
}

/** What a client sends to a server that says nothing. */
async function heard(client: (port: number) => { end(): void }): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const running = client((server.address() as AddressInfo).port);
  const [socket] = await arrived;
  socket.on('error', () => undefined);
  let bytes = Buffer.alloc(0);
  while (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
  }
  running.end();
  socket.destroy();
  server.close();
  return bytes;
}

const helloOfNode = async (options: ConnectionOptions): Promise<Buffer> =>
  await heard((port) => {
    const socket = connect({ port, host: '127.0.0.1', ...options });
    socket.on('error', () => undefined);
    return { end: () => socket.destroy() };
  });

const helloOfOpenssl = async (...args: readonly string[]): Promise<Buffer> =>
  await heard((port) => {
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], { stdio: 'ignore' });
    return { end: () => child.kill() };
  });

/** The same handshake bytes in records of the sizes given, the last size again and again. */
function inRecords(hello: Buffer, ...sizes: readonly number[]): Buffer {
  const body = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0, index = 0; at < body.length; index++) {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? body.length;
    const fragment = body.subarray(at, at + size);
    records.push(Buffer.from([0x16, 3, 1, fragment.length >> 8, fragment.length & 0xff]), fragment);
    at += size;
  }
  return Buffer.concat(records);
}

let hello: Buffer;
before(async () => {
  hello = await helloOfNode({ servername: 'cam-1.plant.example', ALPNProtocols: ['h2', 'http/1.1'] });
});

/** With one extension exchanged for `extension`, its type included; lengths above it are made right. */
function withExtension(type: number, extension: Buffer): Buffer {
  const at = offsets(hello);
  const before = at.extensions.filter((found) => found.type !== type).map(({ bytes }) => bytes);
  return rebuilt(hello, [...before, extension]);
}

interface Offsets {
  readonly extensionsAt: number;
  readonly extensions: readonly { readonly type: number; readonly bytes: Buffer }[];
}

function offsets(bytes: Buffer): Offsets {
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  at += 2 + bytes.readUInt16BE(at);
  at += 1 + bytes.readUInt8(at);
  const extensionsAt = at;
  const extensions: { type: number; bytes: Buffer }[] = [];
  for (at += 2; at < bytes.length;) {
    const size = 4 + bytes.readUInt16BE(at + 2);
    extensions.push({ type: bytes.readUInt16BE(at), bytes: bytes.subarray(at, at + size) });
    at += size;
  }
  return { extensionsAt, extensions };
}

function rebuilt(bytes: Buffer, extensions: readonly Buffer[]): Buffer {
  const all = Buffer.concat(extensions);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(all.length);
  const body = Buffer.concat([bytes.subarray(9, offsets(bytes).extensionsAt), length, all]);
  const header = Buffer.alloc(9);
  header.set([0x16, 3, 1], 0);
  header.writeUInt16BE(body.length + 4, 3);
  header.writeUIntBE(0x01_00_00_00 + body.length, 5, 4);
  return Buffer.concat([header, body]);
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const extension = (type: number, data: Buffer): Buffer => Buffer.concat([u16(type), u16(data.length), data]);
const nameEntry = (name: Buffer | string, type = 0): Buffer =>
  Buffer.concat([Buffer.from([type]), u16(Buffer.from(name).length), Buffer.from(name)]);
const serverNames = (...entries: readonly Buffer[]): Buffer => {
  const list = Buffer.concat(entries);
  return extension(0, Buffer.concat([u16(list.length), list]));
};
const named = (name: Buffer | string): Read => read(withExtension(0, serverNames(nameEntry(name))));

describe('hellos of real clients', () => {
  test('node: every combination of name, protocols, versions and groups is read as it was asked for', async () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
    const host = fc.tuple(label, label, fc.constantFrom('example', 'lan', 'Example')).map((parts) => parts.join('.'));
    await fc.assert(
      fc.asyncProperty(
        fc.option(host, { nil: '' }),
        fc.uniqueArray(fc.constantFrom('h2', 'http/1.1', 'mqtt', 'x%y', 'grüß', 'a b'), { maxLength: 4 }),
        fc.constantFrom('TLSv1.2', 'TLSv1.3'),
        fc.constantFrom('X25519MLKEM768:X25519', 'P-256', 'P-521:X25519'),
        async (servername, ALPNProtocols, maxVersion, ecdhCurve) => {
          const options = { servername, maxVersion, ecdhCurve } as const;
          const { hello: found } = read(
            await helloOfNode({ ...options, ...(ALPNProtocols.length > 0 ? { ALPNProtocols } : {}) }),
          );
          assert.equal(found?.serverName, servername === '' ? undefined : servername.toLowerCase());
          assert.deepEqual(
            found?.alpn,
            ALPNProtocols.map((text) => encodeURIComponent(text).replaceAll('%2F', '/')),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  const shapes: readonly (readonly [args: readonly string[], name: string | undefined, alpn: readonly string[]])[] = [
    [['-servername', 'cam-1.plant.example'], 'cam-1.plant.example', []],
    [['-servername', 'cam-1.plant.example', '-alpn', 'h2,http/1.1'], 'cam-1.plant.example', ['h2', 'http/1.1']],
    [['-noservername'], undefined, []],
    [['-noservername', '-tls1_2', '-alpn', 'mqtt'], undefined, ['mqtt']],
    [['-servername', 'a.example', '-tls1_2', '-no_ticket'], 'a.example', []],
    [['-servername', 'a.example', '-tls1_3', '-groups', 'P-521', '-status'], 'a.example', []],
    [['-servername', 'UPPER.Example', '-max_send_frag', '512', '-split_send_frag', '512'], 'upper.example', []],
  ];
  for (const [args, name, alpn] of shapes) {
    test(`openssl s_client ${args.join(' ')}`, async (t) => {
      if (!requires(t, 'openssl')) return;
      const found = read(await helloOfOpenssl(...args)).hello;
      assert.deepEqual([found?.serverName, found?.alpn, found?.encrypted], [name, alpn, false]);
    });
  }
});

describe('in whatever pieces', () => {
  test('chunks of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 }), (sizes) => {
        const chunks: Buffer[] = [];
        for (let at = 0, index = 0; at < hello.length; index++) {
          const size = sizes[index % sizes.length] ?? 1;
          chunks.push(hello.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(read(...chunks), read(hello));
      }),
    );
    assert.deepEqual(read(...[...hello].map((byte) => Buffer.from([byte]))), read(hello));
  });

  test('records of any size, up to a number', () => {
    for (const sizes of [[1, 10_000], [3, 1, 10_000], [5, 100], [400]]) {
      assert.deepEqual(read(inRecords(hello, ...sizes)), read(hello), sizes.join());
    }
    assert.match(read(inRecords(hello, 1)).why ?? '', /in more than 32 records/);
  });

  test('unfinished: more is needed, at every byte', () => {
    for (let end = 0; end < hello.length; end++) assert.deepEqual(read(hello.subarray(0, end)), { more: true });
  });
});

describe('refused', () => {
  const changed = (at: number, ...bytes: readonly number[]): Buffer => {
    const copy = Buffer.from(hello);
    copy.set(bytes, at);
    return copy;
  };
  const rows: readonly (readonly [what: string, bytes: () => Buffer, why: RegExp])[] = [
    ['an SSLv2 hello', () => Buffer.from('802e0103010015000000100100800300800700c0', 'hex'), /SSLv2/],
    ['HTTP', () => Buffer.from('GET / HTTP/1.1\r\n\r\n'), /no TLS record: type 71/],
    ['SSL 3.0 records', () => changed(2, 0), /version 3.0/],
    ['application data first', () => changed(0, 23), /type 23 within a ClientHello/],
    [
      'an alert within',
      () => Buffer.concat([inRecords(hello, 50).subarray(0, 55), Buffer.from('15030100020100', 'hex')]),
      /type 21/,
    ],
    ['an empty record', () => Buffer.from('1603010000', 'hex'), /an empty record/],
    ['a record that is too long', () => Buffer.from('160301ffff', 'hex'), /a record of 65535 bytes/],
    ['another handshake message', () => changed(5, 2), /handshake message 2/],
    ['a hello that is too long', () => changed(6, 0xff), /a ClientHello of \d+ bytes, more than/],
    ['bytes behind the hello in its record', () => changed(8, hello.readUInt8(8) - 1), /bytes behind the ClientHello/],
    ['version SSL 3.0', () => changed(9, 3, 0), /a ClientHello of version 300/],
    ['a session id that is too long', () => changed(43, 33), /session_id of 33 bytes/],
    [
      'an extension twice',
      () =>
        rebuilt(hello, [
          ...offsets(hello).extensions.map(({ bytes }) => bytes),
          extension(0x1234, u16(0)),
          extension(0x1234, u16(0)),
        ]),
      /extension 4660 twice/,
    ],
    [
      'two names',
      () => withExtension(0, serverNames(nameEntry('a.example'), nameEntry('b.example'))),
      /behind the end of server_name_list/,
    ],
    ['another type of name', () => withExtension(0, serverNames(nameEntry('a.example', 1))), /server_name of type 1/],
    ['no name in the list', () => withExtension(0, serverNames()), /server_name_list of 0 bytes/],
    [
      'a list that is shorter than its extension',
      () => withExtension(0, extension(0, Buffer.concat([u16(4), nameEntry('a'), Buffer.alloc(3)]))),
      /behind the end of server_name/,
    ],
    [
      'an empty protocol name',
      () => withExtension(16, extension(16, Buffer.from([0, 2, 0, 0]))),
      /protocol_name of 0 bytes/,
    ],
    ['an inner hello', () => withExtension(0xfe0d, extension(0xfe0d, Buffer.from([1]))), /no outer one/],
  ];
  for (const [what, bytes, why] of rows) {
    test(what, () => assert.match(read(bytes()).why ?? 'accepted', why));
  }

  for (const name of [
    'a.example.',
    '.',
    '',
    '.example',
    'a..example',
    '192.0.2.1',
    '::1',
    '[::1]',
    '1.2.3',
    '0x7f.1',
    'a b',
    'a\0.example',
    'ä.example',
    '*.example',
    '-a.example',
    'a/b',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
  ]) {
    test(`the name ${JSON.stringify(name.slice(0, 20))}`, () =>
      assert.ok(named(Buffer.from(name, 'latin1')).why !== undefined));
  }
  test('but not names that are unusual', () => {
    for (const name of ['localhost', 'xn--grn-ioa.example', '_plc.cell.example', '3com.example', 'A.EXAMPLE']) {
      assert.equal(named(name).hello?.serverName, name.toLowerCase());
    }
  });
});

test('encrypted_client_hello is noticed, and the outer name counts', () => {
  const found = read(withExtension(0xfe0d, extension(0xfe0d, Buffer.from([0, 0, 1, 0, 1, 7, 0, 0, 0, 0])))).hello;
  assert.deepEqual([found?.serverName, found?.encrypted], ['cam-1.plant.example', true]);
});

/** What OpenSSL makes of the bytes: whether it answers with a ServerHello, and for which name. */
async function opensslReads(bytes: Buffer): Promise<{ accepted: boolean; names: string[] }> {
  const names: string[] = [];
  let answer = Buffer.alloc(0);
  const wire = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      answer = Buffer.concat([answer, chunk]);
      done();
    },
  });
  const socket = new TLSSocket(wire, {
    isServer: true,
    secureContext: context,
    SNICallback: (name, done) => {
      names.push(name);
      done(null);
    },
  });
  const ended = new Promise<void>((resolve) => {
    socket.once('error', () => resolve());
    socket.once('close', () => resolve());
    wire.once('finish', () => resolve());
  });
  wire.push(bytes);
  // It answers within the turns that its callbacks take, or waits for more.
  const turns = (async () => {
    for (let turn = 0; turn < 12 && answer.length === 0; turn++) await new Promise((resolve) => setImmediate(resolve));
  })();
  await Promise.race([ended, turns]);
  socket.destroy();
  wire.destroy();
  return { accepted: answer[0] === 22 && answer[5] === 2, names };
}

let context: ReturnType<typeof createSecureContext>;
before(() => {
  const { key, chain } = testAuthority('hello').issue('spiffe://plant.example/device/cam-1');
  context = createSecureContext({ key, cert: chain });
});

test('the oracle sees the name of an unchanged hello', async () => {
  assert.deepEqual(await opensslReads(hello), { accepted: true, names: ['cam-1.plant.example'] });
});

test('changed bytes: never a crash, and never another name than the one that OpenSSL reads', async () => {
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'remove', 'copy'),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 0x16, 0xff), fc.constantFrom(0x2e, 0x41, 0x62, 0x39)),
    size: fc.integer({ min: 1, max: 24 }),
  });
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 2 }), fc.boolean(), async (edits, near) => {
      const sni = offsets(hello).extensions.find(({ type }) => type === 0)?.bytes ?? assert.fail();
      const nameAt = hello.indexOf(sni);
      let bytes = Buffer.from(hello);
      for (const { at, kind, value, size } of edits) {
        const where = near ? nameAt + (at % sni.length) : at % bytes.length;
        const head = bytes.subarray(0, where);
        if (kind === 'set') bytes[where] = value;
        else if (kind === 'insert') bytes = Buffer.concat([head, Buffer.alloc(size, value), bytes.subarray(where)]);
        else if (kind === 'remove') bytes = Buffer.concat([head, bytes.subarray(where + size)]);
        else bytes = Buffer.concat([bytes.subarray(0, where + size), bytes.subarray(where)]);
      }
      const ours = read(bytes);
      const theirs = await opensslReads(bytes);
      if (!theirs.accepted || ours.hello === undefined) return;
      accepted += 1;
      assert.equal(ours.hello.serverName, theirs.names[0]?.toLowerCase());
    }),
    { numRuns: 2_000 },
  );
  assert.ok(accepted > 100, `both accept some: ${accepted}`);
});

test('random bytes never crash', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void read(Buffer.from(bytes))));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const body = Buffer.from(bytes);
      const message = Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
      void read(Buffer.concat([Buffer.from([0x16, 3, 1]), u16(message.length), message]));
    }),
  );
});
