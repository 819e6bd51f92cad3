// Strict decoding, and errors that keep their code across the wire.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { EnrollResponseSchema } from '../proto/gen/edgeward/enrolment/v1/enrolment_pb.ts';
import { ErrorDetailSchema } from '../proto/gen/edgeward/errors/v1/errors_pb.ts';
import {
  ConnectRequestSchema,
  ConnectResponseSchema,
  DeviceStatesSchema,
} from '../proto/gen/edgeward/stream/v1/stream_pb.ts';
import { CheckRequestSchema } from '../proto/gen/envoy/service/auth/v3/external_auth_pb.ts';
import { CodedError, errorTable } from './errors.ts';
import { decodeMessage, encodeMessage, errorOf, errorTrailer, statusOf } from './grpc-wire.ts';

/** Field 2047, a varint: no message of ours has it. */
const unknownField = Buffer.from([0xf8, 0x7f, 0x01]);

/** `field` with wire type 2, holding `inner`. */
function nested(field: number, inner: Uint8Array): Buffer {
  assert.ok(field < 16 && inner.length < 128);
  return Buffer.concat([Buffer.from([(field << 3) | 2, inner.length]), inner]);
}

test('what was encoded is decoded', () => {
  const message = create(ConnectRequestSchema, {
    message: { case: 'hello', value: { protocolVersion: 1, subscriptions: [{ type: 5, version: 7n }] } },
  });
  assert.deepEqual(decodeMessage(ConnectRequestSchema, encodeMessage(ConnectRequestSchema, message)), message);
});

test('an unknown field is refused, wherever it hides', () => {
  const hidden: [string, Parameters<typeof decodeMessage>[0], Buffer][] = [
    ['at the top', ConnectRequestSchema, unknownField],
    ['in a oneof', ConnectRequestSchema, nested(1, unknownField)],
    ['in a list', DeviceStatesSchema, nested(4, unknownField)],
    ['in a field', EnrollResponseSchema, nested(3, unknownField)],
    ['three levels down', ConnectResponseSchema, nested(4, nested(2, nested(3, unknownField)))],
  ];
  for (const [where, schema, bytes] of hidden) {
    assert.throws(
      () => decodeMessage(schema, bytes),
      { code: 'WIRE_UNKNOWN_FIELD', message: /unknown field 2047/ },
      where,
    );
    assert.doesNotThrow(() => decodeMessage(schema, bytes, { lenient: true }), where);
  }
});

test('an unknown enum number is refused, alone and in a list of messages', () => {
  const ack = toBinary(
    ConnectRequestSchema,
    create(ConnectRequestSchema, { message: { case: 'ack', value: { type: 99 as 0 } } }),
  );
  assert.throws(() => decodeMessage(ConnectRequestSchema, ack), {
    code: 'WIRE_UNKNOWN_FIELD',
    message: /unknown value 99/,
  });
  const hello = create(ConnectRequestSchema, {
    message: { case: 'hello', value: { subscriptions: [{ type: 1 }, { type: 99 as 0 }] } },
  });
  assert.throws(() => decodeMessage(ConnectRequestSchema, toBinary(ConnectRequestSchema, hello)), {
    code: 'WIRE_UNKNOWN_FIELD',
  });
});

test('maps of messages are searched too', () => {
  // CheckRequest.attributes(1).metadata_context(11).typed_filter_metadata(2) maps texts to messages.
  const entry = Buffer.concat([nested(1, Buffer.from('k')), nested(2, unknownField)]);
  const bytes = nested(1, nested(11, nested(2, entry)));
  assert.throws(() => decodeMessage(CheckRequestSchema, bytes), { code: 'WIRE_UNKNOWN_FIELD' });
  assert.doesNotThrow(() => decodeMessage(CheckRequestSchema, bytes, { lenient: true }));
});

test('bytes that are no message are refused with a code, never otherwise', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        decodeMessage(ConnectRequestSchema, bytes);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code.startsWith('WIRE_'), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

const errors = errorTable({ TEST_WIRE: { status: 'FAILED_PRECONDITION', remedy: 'Try the other door' } });

test('a coded error comes back with code, status, message, remedy and place', () => {
  const place = { file: 'policy/grants.yaml', line: 12, column: 3 };
  const back = errorOf(statusOf(errors.error('TEST_WIRE', 'the door is locked', { place })));
  const { code, status, message, remedy } = back;
  assert.deepEqual(
    { code, status, message, remedy, place: back.place },
    {
      code: 'TEST_WIRE',
      status: 'FAILED_PRECONDITION',
      message: 'the door is locked',
      remedy: 'Try the other door',
      place,
    },
  );
});

test('an unknown exception says nothing of the inside', () => {
  const status = statusOf(new Error('password is hunter2'));
  assert.equal(errorOf(status).code, 'RPC_INTERNAL');
  assert.doesNotMatch(JSON.stringify(status), /hunter2/);
});

test('any message survives as a header: long, with line ends, with half a character', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('\ud800', `x${'😀'.repeat(600)}`, '😀'.repeat(600)),
        fc.constant('x'.repeat(10_000)),
        fc.constant('a\r\nb: c'),
      ),
      (text) => {
        const status = statusOf(errors.error('TEST_WIRE', text));
        assert.doesNotThrow(() => encodeURI(status.details));
        assert.ok(status.details.length < 300);
        assert.equal(errorOf(status).message, text.slice(0, 1024).toWellFormed());
      },
    ),
  );
});

test('a detail that is broken or claims a code that is none leaves the bare status', () => {
  for (const detail of [Buffer.from([0xff]), encodeMessage(ErrorDetailSchema, { code: 'not a code\u001b[2J' })]) {
    const status = statusOf(errors.error('TEST_WIRE', 'x'));
    status.metadata.set(errorTrailer, detail);
    const back = errorOf(status);
    assert.equal(back.code, 'RPC_FAILED_PRECONDITION');
  }
  assert.equal(errorOf({ code: 14, details: 'no connection' }).code, 'RPC_UNAVAILABLE');
  assert.equal(errorOf({}).code, 'RPC_INTERNAL');
});
