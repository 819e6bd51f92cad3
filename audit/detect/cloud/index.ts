// Detection in the control plane: the loop over the log, the findings it keeps, and their way out.
export { createDetection, type Detection, type DetectionPorts, type StoredRecord } from './detection.ts';
export { createFindingDelivery, type FindingDelivery, type Send, syslog, webhook } from './deliver-findings.ts';
export { createFindings, type Finding, type Findings } from './findings.ts';
export { createReview, type Review } from './review.ts';
export { detectMigrations, type DetectTables } from './migrations.ts';
