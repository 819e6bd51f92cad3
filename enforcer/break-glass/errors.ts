// What an edge refuses of a ticket beside what is wrong with the ticket itself (policy/bundle/break-glass.ts).
import { errorTable } from '../../runtime/errors.ts';

export const openingErrors = errorTable({
  BREAK_GLASS_NO_BUNDLE: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Bring the edge a verified bundle first; without one nothing is opened.',
  },
  BREAK_GLASS_EXPIRED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Connect the edge to its control plane; only a profile with afterHardExpiry opens past hard expiry.',
  },
  BREAK_GLASS_CONTAINED: {
    status: 'PERMISSION_DENIED',
    remedy: 'Release or recover this edge first: one that is suspect, quarantined or unknown opens nothing.',
  },
  BREAK_GLASS_SPENT: { status: 'ALREADY_EXISTS', remedy: 'Have a new ticket approved; each opens once.' },
  BREAK_GLASS_QUOTA: {
    status: 'RESOURCE_EXHAUSTED',
    remedy: 'Review the openings, raise the generation of the profile and publish; the count is kept on the edge.',
  },
  BREAK_GLASS_NOT_RECORDED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Make room on the disk of the edge and use the ticket again; what cannot be remembered is not opened.',
  },
  BREAK_GLASS_DAMAGED: {
    status: 'DATA_LOSS',
    remedy: 'Check the disk; remove break-glass.json in the state directory only after a review of this edge.',
  },
});
