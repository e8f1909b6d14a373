import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, RpcError } from '../rpc/errors.ts';
import { unreached } from './unreached.ts';

test('why a manager did not answer, in words', () => {
  const at = '10.0.0.3:2377';
  const rows = [
    [
      Code.UNAVAILABLE,
      `cannot connect to ${at}: connect ECONNREFUSED ${at}`,
      'refused the connection',
    ],
    [
      Code.UNAVAILABLE,
      `cannot connect to ${at}: connect EHOSTUNREACH ${at}`,
      'cannot be reached: there is no route to it',
    ],
    [
      Code.UNAVAILABLE,
      `cannot connect to ${at}: getaddrinfo ENOTFOUND m3`,
      'cannot be reached: its name is unknown',
    ],
    [Code.UNAVAILABLE, `cannot connect to ${at}: no answer within 10 s`, 'did not answer in time'],
    [
      Code.UNAVAILABLE,
      `cannot connect to ${at}: self-signed certificate in certificate chain`,
      'belongs to another cluster',
    ],
    [Code.UNAVAILABLE, 'the connection was closed', 'closed the connection'],
    [Code.DEADLINE_EXCEEDED, 'Deadline exceeded', 'did not answer in time'],
    [
      Code.UNIMPLEMENTED,
      'unknown service',
      'does not tell: it is no manager of Skein, or an older one',
    ],
    [
      Code.PERMISSION_DENIED,
      'node n1 was removed from swarm',
      'does not answer: node n1 was removed from swarm',
    ],
  ] as const;
  for (const [code, text, words] of rows) {
    assert.equal(unreached(at, new RpcError(code, text)), `${at} ${words}`);
  }
});
