// HPACK: the examples of RFC 7541 appendix C, every fault that ends a connection, and nghttp2's encoder (in node:http2) as a
// peer whose every block has to be read.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { FrameReader } from './frame-reader.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { ConnectionFault } from './protocol.ts';

type Fields = [string, string][];

function decode(decoder: HpackDecoder, bytes: Buffer): Fields {
  const fields: Fields = [];
  // Not at the beginning of its buffer: offsets have to be kept.
  const padded = Buffer.concat([Buffer.from([0xff, 0xff]), bytes, Buffer.from([0xff])]);
  decoder.decode(padded, 2, padded.length - 1, { field: (name, value) => fields.push([name, value]) });
  return fields;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

suite('examples of RFC 7541', () => {
  const request = (path: string, scheme: string, ...more: Fields): Fields => [
    [':method', 'GET'],
    [':scheme', scheme],
    [':path', path],
    [':authority', 'www.example.com'],
    ...more,
  ];
  const requests = [
    request('/', 'http'),
    request('/', 'http', ['cache-control', 'no-cache']),
    request('/index.html', 'https', ['custom-key', 'custom-value']),
  ];
  const response = (status: string, seconds: string, ...more: Fields): Fields => [
    [':status', status],
    ['cache-control', 'private'],
    ['date', `Mon, 21 Oct 2013 20:13:${seconds} GMT`],
    ['location', 'https://www.example.com'],
    ...more,
  ];
  const responses = [
    response('302', '21'),
    response('307', '21'),
    response(
      '200',
      '22',
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ),
  ];
  /** The fields of a response come in another order each time; the RFC prints them in the order of the block. */
  const sorted = (fields: Fields): Fields => fields.toSorted(([a], [b]) => (a < b ? -1 : 1));

  const single: [string, string, Fields][] = [
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', [['custom-key', 'custom-header']]],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', [[':path', '/sample/path']]],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', [['password', 'secret']]],
    ['C.2.4', '82', [[':method', 'GET']]],
  ];
  for (const [section, bytes, fields] of single) {
    test(section, () => assert.deepEqual(decode(new HpackDecoder(), hex(bytes)), fields));
  }

  test('C.3, requests without Huffman code', () => {
    const decoder = new HpackDecoder();
    const blocks = [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ];
    assert.deepEqual(
      blocks.map((block) => decode(decoder, hex(block))),
      requests,
    );
  });

  test('C.4, requests with Huffman code', () => {
    const decoder = new HpackDecoder();
    const blocks = [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ];
    assert.deepEqual(
      blocks.map((block) => decode(decoder, hex(block))),
      requests,
    );
  });

  const evicting = (): HpackDecoder => {
    const decoder = new HpackDecoder();
    decoder.limitTable(256);
    assert.deepEqual(decode(decoder, hex('3fe1 01')), [], 'a table of 256 octets');
    return decoder;
  };

  test('C.5, responses without Huffman code and with eviction', () => {
    const decoder = evicting();
    const blocks = [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ];
    assert.deepEqual(
      blocks.map((block) => sorted(decode(decoder, hex(block)))),
      responses.map(sorted),
    );
  });

  test('C.6, responses with Huffman code and with eviction', () => {
    const decoder = evicting();
    const blocks = [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ];
    assert.deepEqual(
      blocks.map((block) => sorted(decode(decoder, hex(block)))),
      responses.map(sorted),
    );
  });
});

suite('what cannot be read ends the connection', () => {
  const faults: readonly (readonly [string, string])[] = [
    ['index 0', '80'],
    ['an index beyond the tables', 'be'],
    ['a name beyond the tables', '7e 01 61'],
    ['an integer without end', 'ff ff ff ff ff ff 01'],
    ['an integer that is cut', 'ff'],
    ['a name that is cut', '00 05 61 62'],
    ['a value that is missing', '00 01 61'],
    ['a table larger than allowed', '3f e2 1f'],
    ['a size update after a field', '82 20'],
    ['Huffman code with EOS', '00 84 ff ff ff ff 00'],
    ['Huffman padding of eight bits', '00 82 1f ff 00'],
    ['Huffman padding that is not ones', '00 81 18 00'],
  ];
  for (const [what, bytes] of faults) {
    test(what, () => {
      assert.throws(
        () => decode(new HpackDecoder(), hex(bytes)),
        (error) => error instanceof ConnectionFault && error.code === 'COMPRESSION_ERROR',
      );
    });
  }

  test('a reduced table that the encoder did not follow', () => {
    const decoder = new HpackDecoder();
    decode(decoder, hex('82'));
    decoder.limitTable(0);
    assert.throws(() => decode(decoder, hex('82')), ConnectionFault);
    const follows = new HpackDecoder();
    follows.limitTable(0);
    assert.deepEqual(decode(follows, hex('20 82')), [[':method', 'GET']]);
    assert.equal(follows.isStateless, true);
    assert.deepEqual(decode(follows, hex('82')), [[':method', 'GET']]);
  });
});

test('any bytes are read or refused, never anything else', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder();
      for (const block of blocks) {
        try {
          decode(decoder, Buffer.from(block));
        } catch (error) {
          assert.ok(error instanceof ConnectionFault);
          return;
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("nghttp2's blocks give the fields that were sent, with and without a table", async (t) => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).map((text) => `x-${text}`);
  const value = fc
    .string({
      unit: fc.constantFrom('a', 'e', 'X', '0', '9', ' ', '/', '%', '~', '!', '\u00e9', '\u00ff'),
      maxLength: 60,
    })
    .map((s) => s.trim());
  for (const table of [0, 4096]) {
    const peer = await encoderWithTable(table);
    t.after(() => peer.close());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(name, value, { maxKeys: 8 }), { minLength: 1, maxLength: 6 }),
        async (sets) => {
          for (const set of sets) {
            const fields = await peer.send(set);
            assert.deepEqual(Object.fromEntries(fields.filter(([field]) => field.startsWith('x-'))), { ...set });
          }
        },
      ),
      { numRuns: 60 },
    );
    assert.equal(peer.decoder.isStateless, table === 0, 'the table is used where it may be');
  }
});

/** A node:http2 client whose header blocks we decode; the server announces a table of `table` octets. */
async function encoderWithTable(table: number) {
  const decoder = new HpackDecoder();
  const waiting: ((fields: Fields) => void)[] = [];
  const server = createServer((socket) => {
    const settings = Buffer.alloc(15);
    settings[2] = 6;
    settings[3] = 4;
    settings[10] = 1;
    settings.writeUInt32BE(table, 11);
    socket.write(settings);
    const reader = new FrameReader({
      frame(type, flags, streamId, bytes, start, end) {
        if (type === 4 && flags === 1) decoder.limitTable(table);
        if (type === 4 && flags === 0) socket.write(hex('000000 04 01 00000000'));
        if (type !== 1) return;
        const from = (flags & 0x20) === 0 ? start : start + 5;
        const fields: Fields = [];
        decoder.decode(bytes, from, end, { field: (name, value) => fields.push([name, value]) });
        const answer = hex('000001 01 05 00000000 88');
        answer.writeUInt32BE(streamId, 5);
        socket.write(answer);
        waiting.shift()?.(fields);
      },
    });
    let skip = 24;
    socket.on('data', (chunk: Buffer) => {
      const from = Math.min(skip, chunk.length);
      skip -= from;
      reader.read(chunk, from);
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await once(client, 'remoteSettings');
  return {
    decoder,
    async send(fields: Record<string, string>): Promise<Fields> {
      const seen = new Promise<Fields>((resolve) => waiting.push(resolve));
      const request = client.request({ ':path': '/', ...fields });
      request.resume();
      request.end();
      await once(request, 'close');
      return await seen;
    },
    async close(): Promise<void> {
      client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
