/**
 * Messages of the wire as plain JSON values, by their descriptor: enums as lower-case words, times as
 * ISO 8601, spans as `1m30s`, bytes as their text or as base64, counts as numbers.
 */
import { ENUMS, type FieldRow, MESSAGES } from '../../../shared/wire/gen/descriptor.ts';
import { millisOf } from '../../../shared/model/time.ts';
import type { Codec } from '../../../shared/wire/runtime.ts';
import type { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import { durationText } from '../syntax/quantities.ts';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** `ON_FAILURE` as `on-failure`. */
export const enumWord = (name: string): string => name.toLowerCase().replaceAll('_', '-');

/** The word of an enum's number; the number itself when it has none. */
export function wordFor(names: Readonly<Record<string, number>>, value: number): string {
  const name = Object.keys(names).find((key) => names[key] === value);
  return name === undefined ? String(value) : enumWord(name);
}

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function bytesJson(bytes: Uint8Array): Json {
  try {
    const decoded = text.decode(bytes);
    if (!/(?![\n\r\t])\p{Cc}/u.test(decoded)) return decoded;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return { base64: Buffer.from(bytes).toString('base64') };
}

/** A whole number that JSON readers keep exact, or its digits. */
function integerJson(value: bigint): Json {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

function scalarJson(type: string, value: unknown): Json {
  if (value === undefined || value === null) return null;
  const names = ENUMS[type];
  if (names !== undefined && typeof value === 'number') return wordFor(names, value);
  if (MESSAGES[type] !== undefined || type.startsWith('google.protobuf.')) {
    return messageValue(type, value);
  }
  if (value instanceof Uint8Array) return bytesJson(value);
  if (typeof value === 'bigint') return integerJson(value);
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  return typeof value === 'string' ? value : null;
}

const has = (value: unknown): value is Timestamp =>
  isRecord(value) && typeof value['seconds'] === 'number' && typeof value['nanos'] === 'number';

function messageValue(type: string, value: unknown): Json {
  if (type === 'google.protobuf.Timestamp' && has(value)) return timeText(value);
  if (type === 'google.protobuf.Duration' && has(value)) return durationText(value);
  if (type.endsWith('Value') && type.startsWith('google.protobuf.') && isRecord(value)) {
    return scalarJson('', value['value']);
  }
  return isRecord(value) ? fieldsJson(MESSAGES[type] ?? [], value) : null;
}

/** ISO 8601, to the millisecond. */
export function timeText(time: Timestamp): string {
  const ms = Math.floor(millisOf(time));
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}

function fieldsJson(rows: readonly FieldRow[], message: Readonly<Record<string, unknown>>): Json {
  const json: Record<string, Json> = {};
  for (const [, key, , type, label] of rows) {
    if (label.startsWith('oneof:')) {
      const group = label
        .slice('oneof:'.length)
        .replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase());
      const chosen = message[group];
      if (!isRecord(chosen)) json[group] ??= null;
      else if (chosen['case'] === key) json[group] = { [key]: scalarJson(type, chosen['value']) };
    } else json[key] = fieldJson(type, label, message[key]);
  }
  return json;
}

function fieldJson(type: string, label: string, value: unknown): Json {
  if (label === 'repeated' && Array.isArray(value))
    return value.map((item) => scalarJson(type, item));
  if (label !== 'map' || !isRecord(value)) return scalarJson(type, value);
  const valueType = /^map<[^,]+,\s*(.+)>$/.exec(type)?.[1] ?? '';
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, scalarJson(valueType, item)]),
  );
}

/** The whole message. */
export function messageJson<T>(codec: Codec<T>, message: T): Json {
  return messageValue(codec.name, message);
}

/** What is left when everything empty is taken out: for people, who look for what is there. */
export function withoutEmpty(json: Json, key = ''): Json | undefined {
  if (json === null || json === '' || json === false) return undefined;
  if (json === 0 && key !== 'replicas') return undefined;
  if (Array.isArray(json)) {
    const items = json.flatMap((item: Json) => withoutEmpty(item) ?? []);
    return items.length === 0 ? undefined : items;
  }
  if (typeof json !== 'object') return json;
  const entries = Object.entries(json).flatMap(([name, value]) => {
    const kept = withoutEmpty(value, name);
    return kept === undefined ? [] : [[name, kept] as const];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
