// The kernel's table by netlink.
export { netlinkTable } from './table.ts';
