// Names in the spool's folder.
//   state                                   epoch, cursor, losses; replaced as a whole
//   <epoch, 32 hex>-<sequence, 16 hex>.segment
//   reserve                                 zeros that give room back when the disk is full
//   salt                                    secret of this device for masked fields
//   quarantine-<epoch, 8 hex>-<sequence>-<offset>.bytes

export const stateFile = 'state';
export const reserveFile = 'reserve';
export const saltFile = 'salt';
export const quarantinePrefix = 'quarantine-';

const segmentName = /^([0-9a-f]{32})-([0-9a-f]{16})\.segment$/;

export function segmentFile(epoch: Uint8Array, firstSequence: number): string {
  return `${Buffer.from(epoch).toString('hex')}-${firstSequence.toString(16).padStart(16, '0')}.segment`;
}

export interface SegmentName {
  readonly name: string;
  readonly epochHex: string;
  readonly firstSequence: number;
}

/** undefined for any other file. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const [, epochHex, sequence] = segmentName.exec(name) ?? [];
  if (epochHex === undefined || sequence === undefined) return undefined;
  const firstSequence = Number.parseInt(sequence, 16);
  return Number.isSafeInteger(firstSequence) ? { name, epochHex, firstSequence } : undefined;
}

export function quarantineFile(epochHex: string, sequence: number, offset: number): string {
  return `${quarantinePrefix}${epochHex.slice(0, 8)}-${sequence}-${offset}.bytes`;
}
