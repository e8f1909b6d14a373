import assert from 'node:assert/strict';
import { BlockList, SocketAddress } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Address, Subnet } from './addresses.ts';
import {
  contains,
  containsSubnet,
  formatAddress,
  formatCidr,
  formatSubnet,
  lastAddress,
  overlaps,
  parseAddress,
  parseCidr,
  parseSubnet,
  subnetSize,
} from './addresses.ts';

// Groups of IPv6 are chosen one by one, with many zeros, so that every shape of `::` comes up.
const ipv6Value = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n));

const address: fc.Arbitrary<Address> = fc.oneof(
  fc.nat(0xffff_ffff).map((value) => ({ family: 4 as const, value: BigInt(value) })),
  ipv6Value.map((value) => ({ family: 6 as const, value })),
);

function subnet(text: string): Subnet {
  const parsed = parseSubnet(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

test('addresses are read and written in their shortest form', () => {
  for (const [text, want] of [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1::', '1::'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ] as const) {
    const parsed = parseAddress(text);
    assert.ok(parsed !== undefined, text);
    assert.equal(formatAddress(parsed), want);
  }
});

test('text that is not one address is refused', () => {
  for (const text of [
    '',
    '10.0.0',
    '10.0.0.0.1',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.1 ',
    '-1.0.0.0',
    '1.2.3.+4',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7::8',
    'fe80::1%eth0',
    '12345::',
    '10.0.0.1::',
    '::10.0.0.256',
  ]) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

test('CIDR text keeps the address and names its block', () => {
  const cidr = parseCidr('10.0.1.7/24');
  assert.ok(cidr !== undefined);
  assert.equal(formatCidr(cidr), '10.0.1.7/24');
  assert.equal(formatSubnet(subnet('10.0.1.7/24')), '10.0.1.0/24');
  assert.equal(formatSubnet(subnet('fd00::7/64')), 'fd00::/64');
  assert.equal(subnetSize(subnet('10.0.0.0/24')), 256n);
  assert.equal(lastAddress(subnet('0.0.0.0/0')), 2n ** 32n - 1n);
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', 'fd00::/129', '/8']) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

test('containment and overlap, by table', () => {
  for (const [a, b, overlap, inside] of [
    ['10.0.0.0/8', '10.1.0.0/16', true, true],
    ['10.1.0.0/16', '10.0.0.0/8', true, false],
    ['10.0.0.0/24', '10.0.1.0/24', false, false],
    ['10.0.0.0/24', '10.0.0.0/24', true, true],
    ['0.0.0.0/0', '::/0', false, false],
    ['fd00::/16', 'fd00:1::/64', true, true],
  ] as const) {
    assert.equal(overlaps(subnet(a), subnet(b)), overlap, `${a} ${b}`);
    assert.equal(containsSubnet(subnet(a), subnet(b)), inside, `${a} ${b}`);
  }
});

test('property: what is written is read back', () => {
  fc.assert(
    fc.property(address, (value) => {
      assert.deepEqual(parseAddress(formatAddress(value)), value);
    }),
  );
});

test('property: the platform reads our text as the same address', () => {
  fc.assert(
    fc.property(address, (value) => {
      const text = formatAddress(value);
      const family = value.family === 4 ? 'ipv4' : 'ipv6';
      const theirs = new SocketAddress({ address: text, family }).address;
      assert.deepEqual(parseAddress(theirs), value);
      // The platform writes the last 32 bits of `::/96` dotted; elsewhere the texts are the same.
      if (!theirs.startsWith('::') || !theirs.includes('.')) assert.equal(text, theirs);
    }),
  );
});

test('property: containment agrees with the platform', () => {
  fc.assert(
    fc.property(address, address, fc.nat(32), (low, other, prefix) => {
      const block = subnet(`${formatAddress(low)}/${prefix}`);
      const list = new BlockList();
      const family = low.family === 4 ? 'ipv4' : 'ipv6';
      list.addSubnet(formatAddress(low), prefix, family);
      for (const value of [low, other]) {
        if (value.family !== low.family) continue;
        assert.equal(contains(block, value), list.check(formatAddress(value), family));
      }
    }),
  );
});
