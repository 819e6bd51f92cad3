// What people open on this device with a ticket.
export { type BreakGlass, type BreakGlassOptions, openBreakGlass, type OpenGlass } from './break-glass.ts';
export { openingErrors } from './errors.ts';
