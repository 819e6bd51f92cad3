// Whether every request of one operation is one of another, as the engine reads them.
import type { SliceOperation } from '../../bundle/slice.ts';
import { contains } from '../../engine/operation-contains.ts';
import { CodedError } from '../../../runtime/errors.ts';

/** False where a path is none that the engine takes: another rule says so. */
export function operationContains(outer: SliceOperation, inner: SliceOperation): boolean {
  try {
    return outer === inner || contains(outer, inner, '');
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}
