// What the counts of use are refused for.
import { errorTable } from '../../runtime/errors.ts';

export const usageErrors = errorTable({
  USAGE_DAMAGED: {
    status: 'DATA_LOSS',
    remedy: 'Check the disk; remove the usage/ directory to start all counts anew, or give the grants new limits',
  },
});

export type UsageErrorCode = keyof typeof usageErrors.codes;
