import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataKeyOf, newDataKeyHeaders } from './data-key.ts';

test('a data key is kept in headers, a fresh one each time', () => {
  const headers = [newDataKeyHeaders(), newDataKeyHeaders()];
  const keys = headers.map((each) => dataKeyOf(each));
  assert.deepEqual(
    keys.map((key) => key?.length),
    [32, 32],
  );
  assert.notDeepEqual(keys[0], keys[1]);
  assert.deepEqual(Object.keys(headers[0] ?? {}), ['raft-dek']);
  assert.equal(dataKeyOf({}), undefined);
});
