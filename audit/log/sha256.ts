// SHA-256 as bytes. As text with a character for each byte and back: node takes twice as long to give a Buffer itself.
import { hash } from 'node:crypto';

export const sha256 = (input: Uint8Array | string): Buffer => Buffer.from(hash('sha256', input, 'binary'), 'latin1');
