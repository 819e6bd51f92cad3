// The protocol proxies of this edge: one listener for each interface that the configuration names.
export interface ProxyParts { readonly config: unknown }
