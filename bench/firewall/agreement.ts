// Simulator, policy and kernel on the same packets: a million random cells without a kernel, and as many real packets as the
// time allows. One disagreement is a failure, whatever the counts.
import { compareCells, disagreementText, type Agreement } from '../../test/firewall/oracle/agree.ts';
import { type KernelAgreement, probeKernel } from '../../test/firewall/oracle/kernel.ts';

export interface MeasuredAgreement {
  readonly cells: number;
  readonly policies: number;
  readonly answers: Agreement['answers'];
  /** Of those, packets that a kernel really judged. */
  readonly realPackets: number;
  readonly unseenPackets: number;
  /** As texts; empty when all agree. */
  readonly disagreements: readonly string[];
}

/** About a minute and a half for a million cells on one core; 10,000 real packets take about as long. */
export async function measureAgreement({
  cells = 1_000_000,
  realPackets = 10_000,
  seed = 20_261_122,
} = {}): Promise<MeasuredAgreement> {
  const random = compareCells({ cells, seed, cellsPerPolicy: 1_000 });
  const policies = Math.max(1, Math.round(realPackets / 500));
  const none: KernelAgreement = { packets: 0, accepted: 0, policies: 0, unseen: 0, disagreements: [] };
  const kernel = realPackets === 0 ? none : await probeKernel({ policies, packetsPerPolicy: 500, seed });
  return {
    cells: random.cells,
    policies: random.policies + kernel.policies,
    answers: random.answers,
    realPackets: kernel.packets,
    unseenPackets: kernel.unseen,
    disagreements: [
      ...random.disagreements.map(disagreementText),
      ...kernel.disagreements.map((one) => JSON.stringify(one)),
    ],
  };
}
