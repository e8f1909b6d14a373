import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Subnet } from '../../../shared/model/addresses.ts';
import { formatSubnet, overlaps, parseSubnet } from '../../../shared/model/addresses.ts';
import { SubnetBook } from './subnet-book.ts';

function subnet(text: string): Subnet {
  const parsed = parseSubnet(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

function take(book: SubnetBook, owner = 'net'): string | undefined {
  const taken = book.take(owner);
  return taken === undefined ? undefined : formatSubnet(taken);
}

test('[AL5] blocks come serially from the pools, past what users named, in pool order', () => {
  const book = new SubnetBook([subnet('10.0.0.0/23'), subnet('10.8.0.0/22')], 24);
  book.hold(subnet('10.8.1.0/25'), 'user');
  book.hold(subnet('10.8.1.128/25'), 'user2');
  assert.deepEqual(
    [take(book), take(book), take(book), take(book), take(book), take(book)],
    ['10.0.0.0/24', '10.0.1.0/24', '10.8.0.0/24', '10.8.2.0/24', '10.8.3.0/24', undefined],
  );
  assert.equal(
    book.describeFull(),
    'no free /24 subnet in the default address pools (10.0.0.0/23, 10.8.0.0/22)',
  );
  book.release(subnet('10.8.1.0/25'), 'user');
  assert.equal(take(book), undefined, 'half a block is not a block');
  book.release(subnet('10.8.1.128/25'), 'user2');
  assert.equal(take(book), '10.8.1.0/24');
});

test('a block larger than the pool takes all of it', () => {
  const book = new SubnetBook([subnet('10.0.0.0/22')], 24);
  book.hold(subnet('10.0.0.0/8'), 'user');
  assert.equal(take(book), undefined);
  book.release(subnet('10.0.0.0/8'), 'user');
  assert.equal(take(book), '10.0.0.0/24');
});

test('a pool that cannot be cut as asked is no pool', () => {
  assert.equal(take(new SubnetBook([subnet('10.0.0.0/28')], 24)), undefined);
  assert.equal(take(new SubnetBook([subnet('10.0.0.0/28')], 33)), undefined);
});

test('property: overlap is found as by looking at every block, and nothing is given twice', () => {
  const block = fc
    .tuple(fc.nat(0xffff), fc.integer({ min: 18, max: 30 }))
    .map(([low, prefix]) => subnet(`10.0.${low >> 8}.${low & 255}/${prefix}`));
  const action = fc.record({
    what: fc.constantFrom('take', 'name', 'restore', 'release'),
    block,
    luck: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const book = new SubnetBook([subnet('10.0.0.0/17')], 22);
      const held: { subnet: Subnet; owner: string }[] = [];
      for (const [i, one] of actions.entries()) {
        const slow = held.filter((other) => overlaps(other.subnet, one.block));
        const found = book.overlapping(one.block);
        assert.equal(found === undefined, slow.length === 0);
        const owner = `net${i}`;
        if (one.what === 'take') {
          const taken = book.take(owner);
          if (taken === undefined) continue;
          assert.ok(!held.some((other) => overlaps(other.subnet, taken)));
          held.push({ subnet: taken, owner });
        } else if (one.what === 'release') {
          const [gone] = held.splice(one.luck % Math.max(1, held.length), 1);
          if (gone !== undefined) book.release(gone.subnet, gone.owner);
        } else if (one.what === 'restore' || slow.length === 0) {
          if (one.what === 'restore') book.restore(one.block, owner);
          else book.hold(one.block, owner);
          held.push({ subnet: one.block, owner });
        }
      }
      for (const { subnet: block_, owner } of held) book.release(block_, owner);
      const all = Array.from({ length: 33 }, () => take(book));
      assert.equal(new Set(all).size, 33, 'the pool is whole again: 32 blocks, then none');
    }),
  );
});
