// The one door to gRPC (grpc-js) for protobuf-es services: typed servers and clients, TLS 1.3 with our identities,
// strict decoding, coded errors across the wire, back-pressure both ways. See grpc-wire (bytes, errors), tls and grpc-tls,
// grpc-listener (sockets), grpc-handler (one call), grpc-server, grpc-client.
export { serviceDefinition, type DecodeRules } from './grpc-wire.ts';
export { parseAddress, presentedChain } from './grpc-tls.ts';
export type { CertificateList, ClientTls, ServerTls } from './tls.ts';
export { createGrpcServer, type GrpcServer, type GrpcServerOptions, type Implementation } from './grpc-server.ts';
export type { CallContext, CallRecord, Interceptor, ServiceOptions } from './grpc-handler.ts';
export type { Connection, Refusal } from './grpc-listener.ts';
export type { Metadata } from '@grpc/grpc-js';
export { createGrpcClient, type CallOptions, type GrpcClient, type GrpcClientOptions } from './grpc-client.ts';
