import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Service } from '../../shared/wire/gen/objects.ts';
import { matchesLabels } from './filters.ts';
import { Bench } from './testing/bench.ts';

const names = ['web', 'Web-2', 'api', 'apple', 'w'];
const services = names.map((name, index) =>
  Service.create({
    id: `${index % 2 === 0 ? 'x' : 'y'}${names.length - index}`,
    spec: { annotations: { name, labels: { even: String(index % 2), [name]: '' } } },
  }),
);

const some = (...values: readonly string[]) =>
  fc.oneof(fc.constant<string[]>([]), fc.array(fc.constantFrom(...values), { maxLength: 3 }));
const filtersArbitrary = fc.record({
  names: some(...names, 'WEB', 'none'),
  namePrefixes: some('w', 'W', 'ap', 'none'),
  idPrefixes: some('x', 'y4', 'z'),
  labels: fc.constantFrom({}, { even: '0' }, { even: '' }, { web: '', even: '0' }, { none: '' }),
});

test('[CTL90] list filters find what a look at every object finds', async () => {
  const bench = new Bench();
  await bench.write((tx) => services.forEach((service) => tx.services.create(service)));
  await fc.assert(
    fc.asyncProperty(filtersArbitrary, async (filters) => {
      const listed = (await bench.call('ListServices', { filters })).services;
      const expected = services
        .filter(({ id, spec }) => {
          const { name, labels } = spec.annotations;
          return (
            (filters.names.length === 0 || filters.names.includes(name)) &&
            (filters.namePrefixes.length === 0 ||
              filters.namePrefixes.some((prefix) => name.startsWith(prefix))) &&
            (filters.idPrefixes.length === 0 ||
              filters.idPrefixes.some((prefix) => id.startsWith(prefix))) &&
            matchesLabels(labels, filters.labels)
          );
        })
        .map(({ id }) => id)
        .toSorted((a, b) => (a < b ? -1 : 1));
      assert.deepEqual(
        listed.map(({ id }) => id),
        expected,
      );
    }),
    { numRuns: 1000 },
  );
});

test('[CTL90] labels match by key, and by value where the filter has one', () => {
  for (const [labels, wished, matches] of [
    [{}, {}, true],
    [{ a: '1' }, {}, true],
    [{ a: '1' }, { a: '' }, true],
    [{ a: '1' }, { a: '1' }, true],
    [{ a: '1' }, { a: '2' }, false],
    [{ a: '1' }, { a: '1', b: '' }, false],
    [{}, { toString: '' }, false],
    [{ a: '' }, { a: '' }, true],
  ] as const) {
    assert.equal(matchesLabels(labels, wished), matches);
  }
});
