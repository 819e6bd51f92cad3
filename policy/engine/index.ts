// The decision engine: the same code in the cloud (test, simulate, replay) and on the edge.
export { compileSlice, freshnessAt, isOpening, noBundleDecision, openingRule } from './engine.ts';
export type { Engine, EngineMeta, Explanation, ExplanationStep, NamedOperations } from './engine.ts';
export type { Freshness } from './judge.ts';
export { joinConnection, readAttributes, recordAsked } from './asked.ts';
export type { Asked, AttributesBySource } from './asked.ts';
export { calendarAt } from './calendar.ts';
export type { Calendar, CalendarState } from './calendar.ts';
export { attributeNames, subjectAttributes } from './attributes.ts';
export type { SubjectFacts } from './attributes.ts';
export { vectorRequest } from './self-test.ts';
export type { SelfTestFailure, SelfTestReport } from './self-test.ts';
export { clientReasons } from './client-reasons.ts';
export { admitsNothing, islandTable, rowOf, stateTable } from './state-table.ts';
export type { Admission, SafetyClass, StateRow } from './state-table.ts';
export { noFulfilment, obligationName, requireFulfilment, withdrawn } from './obligations.ts';
export type { Fulfilment } from './obligations.ts';
export { lookOnly, noUsage, unusedUsage } from './usage.ts';
export type { Usage, UseAnswer, UseLimit } from './usage.ts';
export { createUseCounts, simulatedUsage } from './usage-counts.ts';
export { narrowedFilters, topicFiltersFor } from './mqtt-narrowing.ts';
export { devicePlaceholder, intersectTopicFilters } from './mqtt-topic.ts';
export { modbusFunctionName } from './casbin-request.ts';
export { readPath } from './http-path.ts';
export type { PathReading } from './http-path.ts';
export { compileCasbin } from './casbin/casbin-model.ts';
export type { CasbinModel, CasbinSource, CasbinVerdict } from './casbin/casbin-model.ts';
export { engineErrors } from './errors.ts';
export type { EngineErrorCode } from './errors.ts';
export type {
  AccessRequest,
  Attribute,
  AttributeValue,
  Binding,
  Decision,
  MqttRequest,
  Obligation,
  Opening,
  Operation,
  Reason,
  SubjectState,
  TlsRequest,
} from './request.ts';
