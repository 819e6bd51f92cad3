// Detection, the pure part: rules compiled to a detector that is shown events in log order.
export { breakGlassRuleId, builtInRules } from './built-in-rules.ts';
export { createDetector, type Detection, type Detector, type ObservedEvent } from './detector.ts';
export { detectErrors } from './errors.ts';
export type { Level } from './sigma-rule.ts';
