// What cloud and edge share. The rest is in cloud/index.ts and edge/index.ts, so that the edge's program holds no cloud code.
export { type CaErrorCode, caErrors } from './errors.ts';
export { formatJoinLine, type JoinLine, parseJoinLine } from './join-line.ts';
