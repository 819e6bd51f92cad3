// What a verification can find. Each names the first place that is affected as closely as the evidence allows.
import { maxVerifyFindings } from '../limits.ts';

export type Fault =
  /** A record does not hash to its leaf, or cannot be a record: a flipped bit. */
  | 'altered'
  /** Records of a device's chain, or log indices, are not there. */
  | 'missing'
  /** A record stands where another belongs, or twice. */
  | 'misplaced'
  /** A record's chain value does not follow from the one before. */
  | 'chain'
  /** The stored chain is not the one that the device signed. */
  | 'head'
  /** A signed head cannot be trusted. */
  | 'head-invalid'
  /** The log, or a device's chain, ends too early. */
  | 'truncated'
  /** The entries have another root than the checkpoint says. */
  | 'root'
  /** A checkpoint that would show whether entries are genuine lies beyond the end of the log. */
  | 'unproven'
  /** A checkpoint cannot be trusted. */
  | 'checkpoint-invalid';

export interface Finding {
  readonly what: Fault;
  readonly device?: string;
  /** Hex. */
  readonly epoch?: string;
  /** First sequence that is affected, and the last where a range is. */
  readonly sequence?: number;
  readonly throughSequence?: number;
  /** First log index that is affected, and the last where a range is. */
  readonly index?: number;
  readonly throughIndex?: number;
  /** For people. */
  readonly message: string;
}

export class Findings {
  readonly list: Finding[] = [];
  /** Found, also beyond what is listed. */
  total = 0;

  add(finding: Finding): void {
    this.total += 1;
    if (this.list.length < maxVerifyFindings) this.list.push(finding);
  }
}
