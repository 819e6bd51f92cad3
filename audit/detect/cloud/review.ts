// The review of a break-glass opening: the only way its finding is closed, by a person who neither asked for it nor approved
// it. Who did stands in the events that are its evidence, and nowhere else.
import type { NewEvent } from '../../spool/event.ts';
import { eventSchema } from '../../spool/event.ts';
import { breakGlassRuleId } from '../built-in-rules.ts';
import { detectErrors } from '../errors.ts';
import type { StoredRecord } from './detection.ts';
import type { Finding, Findings } from './findings.ts';

export interface Review {
  readonly id: string;
  /** What the review found. */
  readonly note: string;
  /** Name of the operator who reviews. */
  readonly by: string;
}

export interface ReviewPorts {
  readonly findings: Pick<Findings, 'get' | 'closeOne'>;
  /** Up to `limit` records from log index `from` on, in order. */
  readonly read: (from: number, limit: number) => Promise<readonly StoredRecord[]>;
  readonly emit: (event: NewEvent) => Promise<void>;
}

/** Characters of a note. */
const maxNoteLength = 2_000;

/** Throws DETECT_FINDING_UNKNOWN and DETECT_REVIEW_*. The review is in the log before the finding is closed. */
export function createReview({ findings, read, emit }: ReviewPorts): (review: Review) => Promise<void> {
  return async ({ id, note, by }) => {
    const finding = await findings.get(id);
    if (finding === undefined) throw detectErrors.error('DETECT_FINDING_UNKNOWN', `no finding ${id}`);
    if (finding.ruleId !== breakGlassRuleId) throw refused(`${id} is not about break-glass`);
    if (finding.state !== 'open') throw refused(`${id} is closed: ${finding.closedWhy}`);
    if (note.trim() === '' || note.length > maxNoteLength) throw refused('a review says what it found');
    const people = await peopleOf(finding, read);
    // Names of approvers are in lower case, those of operators as somebody wrote them.
    if (people.has(by.toLowerCase()))
      throw detectErrors.error('DETECT_REVIEW_OWN', `${by} asked for it or approved it`);
    const { ruleId: rule, device, count } = finding;
    await emit({
      kind: 'finding',
      activity: 'review',
      severity: 'medium',
      data: { finding: id, rule, device, count, by, message: note },
    });
    if (!(await findings.closeOne(finding, `reviewed by ${by}: ${note}`))) throw refused(`${id} has changed meanwhile`);
  };
}

/** Everybody whom the evidence names, all of it. */
async function peopleOf(finding: Finding, read: ReviewPorts['read']): Promise<ReadonlySet<string>> {
  const people = new Set<string>();
  if (finding.evidence.length < finding.count) throw unclear(`${finding.id} has more evidence than it names`);
  for (const index of finding.evidence) {
    const record = (await read(index, 1)).find((one) => one.index === index);
    const names = record === undefined ? undefined : namesIn(record);
    if (names === undefined) throw unclear(`event ${index} does not say who opened`);
    for (const name of names) people.add(name.toLowerCase());
  }
  return people;
}

/** A commitment stands where a name was masked. */
function namesIn({ payload }: StoredRecord): string[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
  const by = eventSchema.safeParse(json).data?.data['by'];
  if (!Array.isArray(by) || by.length === 0) return undefined;
  const names = by.map(String);
  return names.some((name) => name.includes(':')) ? undefined : names;
}

const refused = (message: string) => detectErrors.error('DETECT_REVIEW_REFUSED', message);
const unclear = (message: string) => detectErrors.error('DETECT_REVIEW_EVIDENCE', message);
