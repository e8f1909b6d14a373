import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, secret } from './testing/store-kit.ts';
import { TermStore } from './term-store.ts';

test('a term that is over writes nothing and hears nothing, though its manager leads again', async () => {
  const { store } = open();
  const old = new TermStore(store);
  const heard: string[] = [];
  old.watch(() => heard.push('old'));
  await old.update((tx) => tx.secrets.create(secret('a')));
  old.end();
  const next = new TermStore(store);
  next.watch(() => heard.push('next'));
  old.watch(() => heard.push('late'));
  await next.update((tx) => tx.secrets.create(secret('b')));
  const late = old.update((tx) => tx.secrets.create(secret('c')));
  await assert.rejects(late, { code: 'LEADERSHIP_LOST' });
  const batch = old.batch(['d'], (tx, id) => tx.secrets.create(secret(id)));
  await assert.rejects(batch, { code: 'LEADERSHIP_LOST' });
  assert.deepEqual(
    store.head((view) => [...view.secrets.all()].map(({ id }) => id)),
    ['a', 'b'],
  );
  assert.deepEqual(heard, ['old', 'next']);
  assert.equal(old.appliedIndex, store.appliedIndex);
  assert.equal(
    old.view((view) => view.secrets.size),
    old.head((view) => view.secrets.size),
  );
});

test('a batch stops where its term ends, and says so', async () => {
  const { store } = open();
  const term = new TermStore(store);
  const ids = ['a', 'b', 'c', 'd'];
  const batch = term.batch(ids, (tx, id) => {
    tx.secrets.create(secret(id));
    if (id === 'b') term.end();
  });
  await assert.rejects(batch, { code: 'LEADERSHIP_LOST' });
  assert.deepEqual(
    store.head((view) => [...view.secrets.all()].map(({ id }) => id)),
    ['a', 'b'],
  );
});

test('what serves term after term begins each anew, and ends its listeners itself or with the term', async () => {
  const { store } = open();
  const served = new TermStore(store);
  let heard = 0;
  for (let term = 1; term <= 2; term += 1) {
    served.begin();
    served.begin();
    assert.equal(served.signal.aborted, false);
    const unwatch = served.watch(() => (heard += 1));
    await served.update((tx) => tx.secrets.create(secret(`s${term}`)));
    assert.equal(heard, term);
    if (term === 1) unwatch();
    served.end();
    assert.equal(served.signal.aborted, true);
    await store.update((tx) => tx.secrets.create(secret(`other${term}`)));
    assert.equal(heard, term);
  }
});
