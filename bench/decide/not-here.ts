/** What an engine of the comparison needs is missing on this machine; the message says what. */
export class NotHere extends Error {
  override readonly name = 'NotHere';
}
