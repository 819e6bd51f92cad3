// The protocols whose streams are mutated.
import { modbusSuite } from './modbus.ts';
import type { Suite } from './suite.ts';

export const suites: readonly Suite[] = [modbusSuite];
