// Island mode of this device.
export { islandErrors } from './errors.ts';
export { type Island, type IslandPorts, openIsland } from './island.ts';
export { type IslandStatus, type KernelIsland, kernelStateOf, statusOf } from './island-status.ts';
export { readIsland, type Stored, writeIsland } from './island-file.ts';
export { isSpared, sparedSubjects } from './spared.ts';
export { enterLocally, type IslandRecord, isOrdered, leaveLocally, type Position } from './island-record.ts';
