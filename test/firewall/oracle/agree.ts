// The plan's answer beside the meaning of the policy, for as many random cells as asked.
import { judgeTable, tableOfPlan } from '../../../enforcer/firewall/index.ts';
import type { FirewallPlan, Packet } from '../../../enforcer/firewall/index.ts';
import { evaluate } from './evaluate.ts';
import type { Answer, Cell, World } from './evaluate.ts';
import { EPOCH, planFor, randomCell, randomWorld, seeded } from './random-world.ts';

export interface Disagreement {
  readonly world: World;
  readonly cell: Cell;
  readonly policy: Answer;
  readonly plan: Answer;
}

export interface Agreement {
  readonly cells: number;
  readonly policies: number;
  /** Cells by the policy's answer. */
  readonly answers: Readonly<Record<Answer, number>>;
  readonly disagreements: readonly Disagreement[];
}

export interface AgreementOptions {
  readonly cells: number;
  readonly seed: number;
  /** Default 2,000. */
  readonly cellsPerPolicy?: number;
  /** Another compiler, to see that its faults are found. */
  readonly compile?: (world: World) => FirewallPlan;
  /** Stops after so many disagreements; default 20. */
  readonly most?: number;
}

export function compareCells({
  cells,
  seed,
  cellsPerPolicy = 2_000,
  compile = planFor,
  most = 20,
}: AgreementOptions): Agreement {
  const random = seeded(seed);
  const answers: Record<Answer, number> = {};
  const disagreements: Disagreement[] = [];
  let done = 0;
  let policies = 0;
  while (done < cells && disagreements.length < most) {
    const world = randomWorld(random);
    const plan = compile(world);
    policies += 1;
    for (let at = 0; at < cellsPerPolicy && done < cells; at += 1) {
      const cell = randomCell(random);
      const policy = evaluate(world, cell);
      const answer = answerOf(plan, cell, world.now);
      done += 1;
      const kind = policy.replace(/:.*/, '');
      answers[kind] = (answers[kind] ?? 0) + 1;
      if (answer !== policy) disagreements.push({ world, cell, policy, plan: answer });
    }
  }
  return { cells: done, policies, answers, disagreements };
}

export function packetOf({ admitted, ...rest }: Cell): Packet {
  return { ...rest, connectionMark: admitted ? EPOCH : 0 };
}

export function answerOf(plan: FirewallPlan, cell: Cell, now: number): Answer {
  const { verdict, rule } = judgeTable(tableOfPlan(plan), packetOf(cell), now);
  return verdict === 'accept' ? 'accept' : rule;
}

/** What a person needs to look at one. */
export function disagreementText({ world, cell, policy, plan }: Disagreement): string {
  const { slice, states, dns, proxies } = world;
  const { interfaces, grants, denies, firewall } = slice;
  return JSON.stringify({ cell, policy, plan, states, dns, proxies, grants, denies, firewall, interfaces });
}
