// Response, the pure part: the life of a device as a table, and playbooks as they are written.
export {
  deviceEvents,
  deviceStates,
  nextState,
  transitions,
  type DeviceEvent,
  type DeviceStateName,
} from './device-state-machine.ts';
export { responseErrors } from './errors.ts';
export { actions, parsePlaybook, type Action, type Playbook } from './playbook.ts';
