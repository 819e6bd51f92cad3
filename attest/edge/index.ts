// Attestation on the edge: measure and answer challenges.
export { type Collect, type CollectorPorts, type CollectorSubject, createCollector } from './collect.ts';
export { type MeasuredFiles, nodeMeasuredFiles } from './files.ts';
export { measureExecutables, measureProgram } from './measure.ts';
