import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaveRefusal } from './leave-refusal.ts';

test('[OPS5] a manager is told what its leaving would mean, and what to do', () => {
  const common = { name: 'm1', allowed: true, missing: '' };
  assert.match(
    leaveRefusal({ ...common, members: 1, allowed: false }),
    /^this node is the last manager/,
  );
  assert.match(leaveRefusal({ ...common, members: 3 }), /"skein node demote m1", or use --force/);
  const missing = ': managers not reached: m3 (h:3)';
  assert.match(
    leaveRefusal({ ...common, members: 3, allowed: false, missing }),
    /the other 2 would lose their quorum: managers not reached: m3 \(h:3\)\. Start those/,
  );
});
