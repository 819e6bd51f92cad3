import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTable, visible } from './table.ts';

test('columns line up, numbers are set right, nothing is a dash', () => {
  assert.equal(
    formatTable(
      ['device', 'events', 'state'],
      [
        ['plc-1', 12, 'trusted'],
        ['câmera', 5, null],
      ],
    ),
    ['DEVICE  EVENTS  STATE', 'plc-1       12  trusted', 'câmera       5  -'].join('\n'),
  );
});

test('a cell cannot move the cursor, break the line or reorder it', () => {
  const table = formatTable(['name'], [['\u001b[2Jevil\nrow\u202e\u009b']]);
  assert.equal(table.split('\n').length, 2);
  assert.match(table, /\\u001b\[2Jevil\\u000arow\\u202e\\u009b/);
  assert.equal(visible('plain ä 🦊'), 'plain ä 🦊');
});
