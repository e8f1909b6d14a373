/** Who may call: every refusal of behaviour 3.9, in its words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  authorise,
  forwardedFrom,
  type Header,
  type Identity,
  type Peer,
  recognise,
  Role,
} from './authorise.ts';
import { Code, RpcError } from './errors.ts';

const policy = { organization: 'org', isRemoved: (id: string) => id === 'gone' };
const address = '10.0.0.1:5000';
const peer = (
  nodeId: string,
  role: string = Role.MANAGER,
  organization = 'org',
): Peer & { readonly identity: Identity } => ({
  identity: { nodeId, organization, roles: [role] },
  address,
});
const header =
  (values: Readonly<Record<string, readonly string[]>>): Header =>
  (name) =>
    values[name] ?? [];
const relayed = (
  cn: readonly string[],
  org: readonly string[],
  ou: readonly string[],
): ReturnType<typeof forwardedFrom> =>
  forwardedFrom(
    header({
      forwarded_cert: ['true'],
      forwarded_cert_cn: cn,
      forwarded_cert_org: org,
      forwarded_cert_ou: ou,
      remote_addr: ['10.9.9.9:1'],
    }),
  );

const BOTH = [Role.WORKER, Role.MANAGER];
const OUTER =
  'Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = ';
const FORWARDER =
  'Permission denied: unauthorized forwarder role: rpc error: code = PermissionDenied desc = ';

test('every refusal has SwarmKit’s words', () => {
  const direct = undefined;
  const rows: readonly [Peer, ReturnType<typeof relayed>, readonly string[], string][] = [
    [{ identity: undefined, address }, direct, BOTH, `${OUTER}no client certificates in request`],
    [
      peer('w', Role.WORKER),
      direct,
      [Role.MANAGER],
      `${OUTER}Permission denied: remote certificate not part of OUs: [swarm-manager]`,
    ],
    [
      peer('x', 'swarm-guest'),
      direct,
      BOTH,
      `${OUTER}Permission denied: remote certificate not part of OUs: [swarm-worker swarm-manager]`,
    ],
    [peer('gone'), direct, BOTH, `${OUTER}Permission denied: node gone was removed from swarm`],
    [
      peer('m', Role.MANAGER, 'other'),
      direct,
      BOTH,
      `${OUTER}Permission denied: remote certificate not part of organization: org`,
    ],
    [
      peer('w', Role.WORKER),
      relayed(['a'], ['org'], [Role.WORKER]),
      BOTH,
      `${FORWARDER}Permission denied: remote certificate not part of OUs: [swarm-manager]`,
    ],
    [
      peer('gone'),
      relayed(['a'], ['org'], [Role.WORKER]),
      BOTH,
      `${FORWARDER}Permission denied: node gone was removed from swarm`,
    ],
    [
      peer('m'),
      relayed([''], [''], []),
      BOTH,
      'Permission denied: missing information in forwarded request',
    ],
    [
      peer('m'),
      relayed(['a'], ['org'], []),
      BOTH,
      'Permission denied: missing information in forwarded request',
    ],
    [
      peer('m'),
      relayed(['a'], ['org'], [Role.WORKER]),
      [Role.MANAGER],
      'Permission denied: unauthorized forwarded role, expecting: [swarm-manager]',
    ],
    [
      peer('m'),
      relayed(['a'], ['other'], [Role.WORKER]),
      BOTH,
      'Permission denied: organization mismatch, expecting: org',
    ],
    [
      peer('m'),
      relayed(['gone'], ['org'], [Role.WORKER]),
      BOTH,
      'Permission denied: node gone was removed from swarm',
    ],
  ];
  for (const [from, forwarded, roles, text] of rows) {
    assert.throws(
      () => authorise(from, forwarded, roles, policy),
      (error) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual([error.code, error.message], [Code.PERMISSION_DENIED, text]);
        return true;
      },
    );
  }
});

test('a direct caller is who the certificate says', () => {
  assert.deepEqual(authorise(peer('w', Role.WORKER), undefined, BOTH, policy), {
    nodeId: 'w',
    organization: 'org',
    roles: [Role.WORKER],
    remoteAddress: address,
    local: false,
    forwardedBy: undefined,
  });
});

test('a forwarded caller is who the manager says, with the address it first came from', () => {
  const forwarded = relayed(['w'], ['org'], [Role.WORKER]);
  assert.deepEqual(authorise(peer('m'), forwarded, BOTH, policy), {
    nodeId: 'w',
    organization: 'org',
    roles: [Role.WORKER],
    remoteAddress: '10.9.9.9:1',
    local: false,
    forwardedBy: 'm',
  });
});

test('repeated roles are told apart, also when HTTP joined them', () => {
  for (const ou of [['swarm-worker', 'swarm-manager'], ['swarm-worker, swarm-manager']]) {
    const roles = relayed(['w'], ['org'], ou)?.roles;
    assert.deepEqual(roles, ['swarm-worker', 'swarm-manager']);
  }
  assert.deepEqual(relayed(['w'], ['org'], [''])?.roles, []);
});

test('forwarding metadata counts only with exactly one mark', () => {
  for (const marks of [[], ['true', 'true'], ['false'], ['TRUE'], ['']]) {
    assert.equal(
      forwardedFrom(header({ forwarded_cert: marks, forwarded_cert_cn: ['x'] })),
      undefined,
    );
  }
});

test('where anybody may call, who cannot be recognised is nobody', () => {
  const nobody = { nodeId: '', organization: '', roles: [] };
  const strangers: readonly [Peer, ReturnType<typeof relayed>][] = [
    [{ identity: undefined, address }, undefined],
    [peer('gone'), undefined],
    [peer('m', Role.MANAGER, 'other'), undefined],
    [peer('w', Role.WORKER), relayed(['m'], ['org'], [Role.MANAGER])],
    [peer('m'), relayed([''], [''], [])],
  ];
  for (const [from, forwarded] of strangers) {
    const { nodeId, organization, roles } = recognise(from, forwarded, policy);
    assert.deepEqual({ nodeId, organization, roles }, nobody);
  }
  // Somebody without a certificate who came through a manager keeps the address they came from.
  const { remoteAddress, forwardedBy } = recognise(peer('m'), relayed([''], [''], []), policy);
  assert.deepEqual(
    { remoteAddress, forwardedBy },
    { remoteAddress: '10.9.9.9:1', forwardedBy: 'm' },
  );
  assert.equal(recognise(peer('w', Role.WORKER), undefined, policy).nodeId, 'w');
});

test('no metadata makes a caller of another role or cluster than the forwarder may name', () => {
  const anybody = fc.record({
    nodeId: fc.constantFrom('w', 'gone', '', 'm'),
    organization: fc.constantFrom('org', 'other', ''),
    roles: fc.subarray([Role.WORKER, Role.MANAGER, 'swarm-guest']),
  });
  fc.assert(
    fc.property(anybody, anybody, (identity, named) => {
      const forwarded = relayed([named.nodeId], [named.organization], named.roles);
      try {
        const caller = authorise({ identity, address }, forwarded, [Role.WORKER], policy);
        assert.ok(identity.roles.includes(Role.MANAGER) && identity.organization === 'org');
        assert.notEqual(identity.nodeId, 'gone');
        assert.ok(caller.roles.includes(Role.WORKER) && caller.organization === 'org');
        assert.ok(caller.nodeId !== '' && caller.nodeId !== 'gone');
      } catch (error) {
        assert.ok(error instanceof RpcError && error.code === Code.PERMISSION_DENIED);
      }
    }),
  );
});
