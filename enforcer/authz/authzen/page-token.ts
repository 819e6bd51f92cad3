// Page tokens (Authorization API 1.0, Pagination): opaque, signed with a key of this process, and bound to one bundle and
// one search, so that all pages are of one policy. State is nowhere but in the token.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { maxTokenLength } from './limits.ts';

export interface PagePosition {
  /** Of the candidates, in their order, the first one that has not been looked at. */
  readonly next: number;
  /** Results on a page, as the first request asked. */
  readonly limit: number;
}

const schema = z.strictObject({ next: z.int().min(0), limit: z.int().min(0) });

export interface PageTokens {
  /** `search` names policy and search, all that a token is bound to. */
  readonly write: (search: string, position: PagePosition) => string;
  /** Undefined for a token that is not of this search. */
  readonly read: (search: string, token: string) => PagePosition | undefined;
}

/** `key`: 32 random bytes of this process; tokens end with it. */
export function createPageTokens(key: Uint8Array): PageTokens {
  const mac = (search: string, position: string): Buffer =>
    createHmac('sha256', key)
      .update(JSON.stringify([search, position]))
      .digest();
  return {
    write(search, { next, limit }) {
      const position = Buffer.from(JSON.stringify({ next, limit })).toString('base64url');
      return `${position}.${mac(search, position).toString('base64url')}`;
    },
    read(search, token) {
      if (token.length > maxTokenLength) return undefined;
      const [position = '', shown = '', more] = token.split('.');
      const expected = mac(search, position);
      const given = Buffer.from(shown, 'base64url');
      if (more !== undefined || given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
      // What was signed here is well-formed.
      return schema.parse(JSON.parse(Buffer.from(position, 'base64url').toString('utf8')));
    },
  };
}
