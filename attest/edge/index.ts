// Attestation on the edge: measure and answer challenges.
export { type Collect, type CollectorPorts, type CollectorSubject, createCollector } from './collect.ts';
export { type MeasuredFiles, nodeMeasuredFiles } from './files.ts';
export { type Measurable, measureAside, type Measured } from './measure-aside.ts';
export { measureExecutables, measureProgram, type ProgramRoot } from './measure.ts';
