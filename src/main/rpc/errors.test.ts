import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../store/transaction.ts';
import { Code, hasCode, RpcError, rpcError, statusOf } from './errors.ts';

test('errors become statuses in one place', () => {
  const rows: readonly [unknown, Code, string, boolean][] = [
    [new RpcError(Code.ABORTED, 'stopped'), Code.ABORTED, 'stopped', true],
    [
      new StoreError('OUT_OF_SEQUENCE', 'update out of sequence'),
      Code.UNKNOWN,
      'update out of sequence',
      true,
    ],
    [new Error('boom'), Code.UNKNOWN, 'boom', false],
    [Object.assign(new Error('gone'), { code: 'ENOENT' }), Code.UNKNOWN, 'gone', false],
    ['text', Code.UNKNOWN, 'text', false],
    [undefined, Code.UNKNOWN, 'undefined', false],
    [new Error('x'.repeat(5000)), Code.UNKNOWN, `${'x'.repeat(4095)}…`, false],
    [new Error('half \ud800'), Code.UNKNOWN, 'half \ufffd', false],
  ];
  for (const [error, code, text, expected] of rows) {
    assert.deepEqual(statusOf(error), { code, text, expected });
  }
});

test('a received number that is no code counts as Unknown', () => {
  assert.equal(rpcError(5, 'x').code, Code.NOT_FOUND);
  assert.equal(rpcError(99, 'x').code, Code.UNKNOWN);
  assert.equal(rpcError(Number.NaN, 'x').code, Code.UNKNOWN);
  assert.ok(hasCode(rpcError(5, 'x'), Code.NOT_FOUND));
  assert.ok(!hasCode(new Error('x'), Code.UNKNOWN));
});

test('a status is quoted as Go quotes it', () => {
  const error = new RpcError(Code.PERMISSION_DENIED, 'no');
  assert.equal(error.goText, 'rpc error: code = PermissionDenied desc = no');
});
