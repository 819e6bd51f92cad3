// Tells TLS from the protocols that we understand by the first three bytes: a handshake record of version 3.1 to 3.4 (RFC
// 8446, 5.1). Modbus/TCP has 0 in its third byte, MQTT begins with 0x10, HTTP with a letter.

/** Undefined while more bytes are needed to tell. */
export function isTls(first: Buffer): boolean | undefined {
  const [type, major, minor] = first;
  if (type !== undefined && type !== 0x16) return false;
  if (major !== undefined && major !== 3) return false;
  return minor === undefined ? undefined : minor >= 1 && minor <= 4;
}
