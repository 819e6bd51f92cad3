// How Envoy understands the bytes of a CheckResponse (ext_authz_grpc_impl.cc, onSuccess): status.code alone decides, and
// what is absent is 0, which allows.
import { WireReader } from './wire-reader.ts';

const STATUS = 10;
const CODE = 8;

/** Throws WireFault for bytes that are no message. */
export function readVerdict(bytes: Uint8Array): 'allow' | 'deny' {
  const wire = new WireReader(bytes);
  let code = 0;
  while (wire.at < bytes.length) {
    const tag = wire.tag(bytes.length);
    if (tag !== STATUS) {
      wire.skip(tag, bytes.length);
      continue;
    }
    const end = wire.span(bytes.length);
    while (wire.at < end) {
      const inner = wire.tag(end);
      if (inner === CODE) code = wire.uint32(end);
      else wire.skip(inner, end);
    }
  }
  return code === 0 ? 'allow' : 'deny';
}
