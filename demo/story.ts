// The story of the demo, chapter by chapter. What happens in the cell is asserted by foreign clients and packet probes, what
// the log and the control plane hold by the edgeward command.
import { underAttack } from './chapters/attack.ts';
import { withoutEnforcement } from './chapters/before.ts';
import { underEnforcement } from './chapters/enforce.ts';
import { enrolAndEnforce } from './chapters/enrol.ts';
import { withoutCloud } from './chapters/offline.ts';
import { proof } from './chapters/proof.ts';
import { processThroughout, recovery } from './chapters/recovery.ts';
import type { Measures, Stage } from './stage.ts';

export async function tellStory(stage: Stage, measures: Measures): Promise<void> {
  const before = await withoutEnforcement(stage, measures);
  await enrolAndEnforce(stage, measures);
  const started = await underEnforcement(stage, measures, before);
  await underAttack(stage, measures);
  const cutOff = await withoutCloud(stage, measures);
  await proof(stage, measures, cutOff);
  await recovery(stage, measures);
  await processThroughout(stage, measures, started);
}
