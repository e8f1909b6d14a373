/**
 * Lists: which objects a filter means, found by an index where the filter has one, in a stable order.
 *
 * Two families, as SwarmKit has them. Most lists want every kind of filter to hold, and any value of a
 * kind; names compare as written. Lists of secrets, configs and resources take whatever any name or
 * prefix finds, upper and lower case alike, and then want the labels.
 */
import type { ObjectKind, ObjectTable, ObjectTypes } from '../store/view.ts';

/** Filters that most lists have; what is empty filters nothing. */
export type NameFilters = {
  readonly names: readonly string[];
  readonly idPrefixes: readonly string[];
  readonly namePrefixes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
};

/** What the filters look at. */
export type Facets<T> = {
  readonly name: (object: T) => string;
  readonly labels: (object: T) => Readonly<Record<string, string>>;
};

type Annotated = {
  readonly spec: {
    readonly annotations: {
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
    };
  };
};

/** Facets of objects that are named in their spec. */
export const ANNOTATIONS: Facets<Annotated> = {
  name: (object) => object.spec.annotations.name,
  labels: (object) => object.spec.annotations.labels,
};

/** Whether the labels hold every wished key, with its value unless the wish has none. */
export function matchesLabels(
  labels: Readonly<Record<string, string>>,
  wished: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wished).every(
    ([key, value]) => Object.hasOwn(labels, key) && (value === '' || labels[key] === value),
  );
}

/** Whether the filter is empty, or holds the value. */
export function isOneOf<T>(wished: readonly T[], value: T): boolean {
  return wished.length === 0 || wished.includes(value);
}

/** Whether the filter is empty, or holds a beginning of the value. */
export function startsWithOneOf(prefixes: readonly string[], value: string): boolean {
  return prefixes.length === 0 || prefixes.some((prefix) => value.startsWith(prefix));
}

/** Whether an object passes filters by name, id and label. */
function matchesNames<T extends { readonly id: string }>(
  object: T,
  filters: NameFilters,
  facets: Facets<T>,
): boolean {
  const name = facets.name(object);
  return (
    isOneOf(filters.names, name) &&
    startsWithOneOf(filters.namePrefixes, name) &&
    startsWithOneOf(filters.idPrefixes, object.id) &&
    matchesLabels(facets.labels(object), filters.labels)
  );
}

/** The objects that every filter lets through, by id. */
export function listMatching<K extends ObjectKind>(
  table: ObjectTable<K>,
  filters: NameFilters | undefined,
  facets: Facets<ObjectTypes[K]>,
): readonly ObjectTypes[K][] {
  if (filters === undefined) return inOrder([...table.all()]);
  const candidates = [...(byNames(table, filters) ?? table.all())];
  return inOrder(candidates.filter((object) => matchesNames(object, filters, facets)));
}

/** What an index finds for the first name filter that is there; more than the others let through. */
function byNames<K extends ObjectKind>(
  table: ObjectTable<K>,
  { names, idPrefixes, namePrefixes }: NameFilters,
): Iterable<ObjectTypes[K]> | undefined {
  if (idPrefixes.length > 0) return distinct(idPrefixes.flatMap((p) => table.byIdPrefix(p)));
  // A host name may be shared: a name is looked up as a prefix of itself.
  const beginnings = names.length > 0 ? names : namePrefixes;
  if (beginnings.length === 0) return undefined;
  return distinct(beginnings.flatMap((beginning) => table.byNamePrefix(beginning)));
}

/** The objects that any name, prefix or id prefix finds, with the wished labels, by id. */
export function listUnion<K extends ObjectKind>(
  table: ObjectTable<K>,
  filters: NameFilters | undefined,
  labels: Facets<ObjectTypes[K]>['labels'],
): readonly ObjectTypes[K][] {
  if (filters === undefined) return inOrder([...table.all()]);
  const { names, idPrefixes, namePrefixes } = filters;
  const any = names.length + idPrefixes.length + namePrefixes.length === 0;
  const objects = any
    ? [...table.all()]
    : distinct([
        ...names.flatMap((name) => table.byName(name) ?? []),
        ...namePrefixes.flatMap((prefix) => table.byNamePrefix(prefix)),
        ...idPrefixes.flatMap((prefix) => table.byIdPrefix(prefix)),
      ]);
  return inOrder(objects.filter((object) => matchesLabels(labels(object), filters.labels)));
}

function distinct<T>(objects: readonly T[]): T[] {
  return [...new Set(objects)];
}

/** By id, so that two lists of the same objects are the same list. */
function inOrder<T extends { readonly id: string }>(objects: readonly T[]): readonly T[] {
  return objects.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
