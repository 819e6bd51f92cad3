// Limits of response, each with unit and reason.

/** Share of the fleet that playbooks may hold in quarantine at once; people may go further. */
export const maxContainedShare = 0.34;
/** Devices that may always be contained, however small the fleet. */
export const minContained = 1;
/** Devices that may be contained on the word of one reporting device; one edge that was taken over gets no further. */
export const maxContainedByReporter = 3;
/** Steps of one playbook; a longer one is refused rather than cut. */
export const maxPlaybookSteps = 32;
/** Orders sent in one snapshot; a device further behind gets the rest after its acknowledgement. */
export const maxOrdersPerSnapshot = 500;
/** Milliseconds within which two findings of different rules count as two signals for a safety device. */
export const twoSignalWindowMs = 10 * 60 * 1000;
/** Learned blocks of one device that are remembered; its kernel holds no more either. */
export const maxReportedBlocks = 4_096;
/** Records of the log that are read at once for reports of edges. */
export const reportBatch = 500;
/** Milliseconds between two looks into the log when nothing says that there is more. */
export const reportIdleMs = 1_000;
