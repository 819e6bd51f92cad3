// The transports that are compared; the product's own comes last.
export const transports = ['grpc-js', 'h2'] as const;
export type Transport = (typeof transports)[number];

/** What the enforcement points can be served by. */
export const edgeTransports: readonly Transport[] = ['grpc-js'];
