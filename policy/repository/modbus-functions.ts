// Modbus application protocol 1.1b3, section 6: public function codes, and which of them only read.

export const modbusFunctions: Readonly<Record<string, number>> = {
  'read-coils': 1,
  'read-discrete-inputs': 2,
  'read-holding-registers': 3,
  'read-input-registers': 4,
  'write-single-coil': 5,
  'write-single-register': 6,
  'read-exception-status': 7,
  diagnostics: 8,
  'get-comm-event-counter': 11,
  'get-comm-event-log': 12,
  'write-multiple-coils': 15,
  'write-multiple-registers': 16,
  'report-server-id': 17,
  'read-file-record': 20,
  'write-file-record': 21,
  'mask-write-register': 22,
  'read-write-multiple-registers': 23,
  'read-fifo-queue': 24,
  'encapsulated-interface-transport': 43,
};

export const functionNames: readonly string[] = Object.keys(modbusFunctions);

/** Codes that change nothing on the device. Diagnostics (8) can restart it and 43 can carry CANopen writes. */
const readOnly: ReadonlySet<number> = new Set([1, 2, 3, 4, 7, 11, 12, 17, 20, 24]);

/** Everything not known to read counts as writing, vendor codes included. */
export function writes(functionCode: number): boolean {
  return !readOnly.has(functionCode);
}

export function functionCodeOf(nameOrCode: string | number): number | undefined {
  if (typeof nameOrCode === 'number') return nameOrCode;
  return Object.hasOwn(modbusFunctions, nameOrCode) ? modbusFunctions[nameOrCode] : undefined;
}
