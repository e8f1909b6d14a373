/** `--filter key=value`, many times: every key must hold, and any value of one key. */
import { CommandError } from './command-error.ts';

export type FilterWords = ReadonlyMap<string, readonly string[]>;

/** The filters by key; a key that is not `known` is an error that says which are. */
export function filtersOf(texts: readonly string[], known: readonly string[]): FilterWords {
  const filters = new Map<string, string[]>();
  for (const text of texts) {
    const equals = text.indexOf('=');
    const key = equals === -1 ? text : text.slice(0, equals);
    if (equals === -1 || !known.includes(key)) {
      throw new CommandError(
        `--filter ${text}: write KEY=VALUE, where KEY is one of ${known.join(', ')}`,
      );
    }
    filters.set(key, [...(filters.get(key) ?? []), text.slice(equals + 1)]);
  }
  return filters;
}

/** The filters that every list of the control service has; `name` means beginnings, as with Docker. */
export function nameFilters(filters: FilterWords): {
  readonly namePrefixes: readonly string[];
  readonly idPrefixes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
} {
  return {
    namePrefixes: filters.get('name') ?? [],
    idPrefixes: filters.get('id') ?? [],
    labels: labelFilter(filters, 'label'),
  };
}

/** `label=KEY` or `label=KEY=VALUE` as a map; a key alone has an empty value. */
export function labelFilter(filters: FilterWords, key: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    (filters.get(key) ?? []).map((text) => {
      const equals = text.indexOf('=');
      return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** The enum values that a filter's words name. */
export function enumFilter<T extends number>(
  filters: FilterWords,
  key: string,
  words: Readonly<Record<string, T>>,
): readonly T[] {
  return (filters.get(key) ?? []).map((word) => {
    const value = Object.hasOwn(words, word) ? words[word] : undefined;
    if (value === undefined) {
      throw new CommandError(
        `--filter ${key}=${word}: write one of ${Object.keys(words).join(', ')}`,
      );
    }
    return value;
  });
}
