// The engines of the comparison. Each is made of a corpus by a function, so that none is loaded that is not measured.
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { type CasbinSource, compileCasbin } from '../../policy/engine/casbin/casbin-model.ts';
import { cedar } from './cedar.ts';
import { type Contender, contender } from './contender.ts';
import { type Corpus, corpusCsv, corpusModel } from './corpus.ts';
import { handWrittenIndex } from './hand-written.ts';
import { opaLaidOut, opaWalked } from './opa.ts';

export interface EngineEntry {
  /** Lines up to which it is asked at all, in a full and in a quick run: beyond them a decision takes 0.1 s and more. */
  readonly largest: { readonly full: number; readonly quick: number };
  /** Throws NotHere when this machine lacks what it takes. */
  readonly open: (corpus: Corpus) => Contender | Promise<Contender>;
}

export const engineNames = [
  'edgeward',
  'hand-written',
  'node-casbin',
  'cedar-wasm',
  'opa-wasm',
  'opa-wasm, laid out by hand',
] as const;
export type EngineName = (typeof engineNames)[number];

const any = 100_000;

export const engines: Readonly<Record<EngineName, EngineEntry>> = {
  edgeward: { largest: { full: any, quick: any }, open: edgeward },
  'hand-written': { largest: { full: any, quick: any }, open: handWritten },
  'node-casbin': { largest: { full: any, quick: 10_000 }, open: nodeCasbin },
  'cedar-wasm': { largest: { full: 10_000, quick: 1_000 }, open: cedar },
  'opa-wasm': { largest: { full: any, quick: 1_000 }, open: opaWalked },
  'opa-wasm, laid out by hand': { largest: { full: any, quick: 10_000 }, open: opaLaidOut },
};

export const sourceOf = (corpus: Pick<Corpus, 'rules' | 'links'>): CasbinSource => ({
  model: corpusModel,
  policy: corpusCsv(corpus),
  modelFile: 'corpus.conf',
  policyFile: 'corpus.csv',
});

function edgeward(corpus: Corpus): Contender {
  const model = compileCasbin(sourceOf(corpus));
  return contender(
    'the Casbin model, compiled',
    (request) => request,
    (request) => model.enforce(request).allow,
  );
}

function handWritten(corpus: Corpus): Contender {
  const decide = handWrittenIndex(corpus);
  return contender('Maps for this one policy, bench/decide/hand-written.ts', (request) => request, decide);
}

async function nodeCasbin(corpus: Corpus): Promise<Contender> {
  const enforcer = await newEnforcer(newModelFromString(corpusModel), new StringAdapter(corpusCsv(corpus)));
  return contender(
    'the same model and policy, enforceSync',
    (request) => request,
    (request) => enforcer.enforceSync(...request),
  );
}
