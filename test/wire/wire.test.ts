/**
 * Holds our schema against the tables of SwarmKit's protocol: every message, field, number, type and
 * label, every enum value, every call, and the exact bytes that its generated Go code writes. What is
 * Skein's own stands in a package of its own, beside them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { ENUMS, MESSAGES } from '../../src/shared/wire/gen/descriptor.ts';
import { SERVICES } from '../../src/shared/wire/gen/services.ts';
import { Task } from '../../src/shared/wire/gen/objects.ts';
import { type Codec, WireError } from '../../src/shared/wire/runtime.ts';

type Row = Readonly<Record<string, string>>;

function table(name: string): Row[] {
  const [head = '', ...lines] = readFileSync(new URL(name, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  const keys = head.split('\t');
  return lines.map((line) => {
    const cells = line.split('\t');
    return Object.fromEntries(keys.map((key, i) => [key, cells[i] ?? '']));
  });
}

const rows = table('messages.tsv');

const isOurs = (fullName: string): boolean => fullName.startsWith('skein.');
const swarmkits = <T>(all: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(all).filter(([name]) => !isOurs(name));

const modules = await Promise.all(
  [
    'ca',
    'control',
    'dispatcher',
    'health',
    'logbroker',
    'objects',
    'operations',
    'raft',
    'raftpb',
    'replication',
    'resource',
    'snapshot',
    'specs',
    'types',
    'watch',
    'well-known',
  ].map(async (name): Promise<Record<string, unknown>> => ({
    ...(await import(`../../src/shared/wire/gen/${name}.ts`)),
  })),
);

const isCodec = (value: unknown): value is Codec<unknown> =>
  typeof value === 'object' && value !== null && 'decode' in value;

const codecs = new Map(
  modules.flatMap((m) => Object.values(m).filter(isCodec)).map((c) => [c.name, c] as const),
);

test('every message and field stands in the schema with its number, type and label', () => {
  const wanted = rows
    .filter((r) => r['kind'] === 'message' && r['field'] !== '-')
    .map((r) => [r['message'], r['field'], r['number'], r['type'], r['label']].join(' '));
  const ours = swarmkits(MESSAGES).flatMap(([message, fields]) =>
    fields.map(([field, , number, type, label]) => [message, field, number, type, label].join(' ')),
  );
  assert.ok(wanted.length > 800);
  assert.deepEqual(ours.toSorted(), wanted.toSorted());
});

test('messages without fields stand in the schema, and what is ours alone stands apart', () => {
  const wanted = new Set(rows.filter((r) => r['kind'] !== 'enum').map((r) => r['message'] ?? ''));
  const names = swarmkits(MESSAGES).map(([name]) => name);
  assert.deepEqual(names.toSorted(), [...wanted].toSorted());
  assert.deepEqual([...codecs.keys()].toSorted(), Object.keys(MESSAGES).toSorted());
});

test('every enum value stands in the schema', () => {
  const wanted = rows
    .filter((r) => r['kind'] === 'enum')
    .map((r) => `${r['message']} ${r['field']} ${r['number']}`);
  const ours = swarmkits(ENUMS).flatMap(([name, values]) =>
    Object.entries(values).map(([key, number]) => `${name} ${key} ${number}`),
  );
  assert.deepEqual(ours.toSorted(), wanted.toSorted());
});

test('every call stands in the schema with its messages, streaming and roles', () => {
  const wanted = table('services.tsv').map((r) => Object.values(r).join(' '));
  const calls = Object.values(SERVICES).flatMap((methods) => Object.values(methods));
  const ours = calls.flatMap((m) => {
    const [, service = '', rpc] = m.path.split('/');
    if (isOurs(service)) return [];
    const roles = m.roles.length === 0 ? 'insecure' : m.roles.join(',');
    const { request, response, requestStream, responseStream } = m;
    return [service, rpc, request.name, response.name, requestStream, responseStream, roles].join(
      ' ',
    );
  });
  assert.equal(ours.length, 65);
  assert.deepEqual(ours.toSorted(), wanted.toSorted());
});

test('only managers may call what is ours alone', () => {
  const ours = [SERVICES.Operations, SERVICES.Replication].flatMap((service) =>
    Object.values(service),
  );
  assert.ok(ours.length > 0);
  for (const { path, roles } of ours) assert.deepEqual([path, roles], [path, ['swarm-manager']]);
});

for (const row of table('zero.tsv')) {
  test(`zero value of ${row['message']} has the bytes of the Go code`, () => {
    const codec = codecs.get(row['message'] ?? '');
    assert.ok(codec);
    assert.equal(Buffer.from(codec.encode(codec.create())).toString('hex'), row['zero_value_hex']);
    assert.deepEqual(codec.decode(codec.encode(codec.create())), codec.create());
  });
}

/** A negative zero is not written, as in the Go code, and so comes back as zero. */
const plusZero = (value: number): number => value + 0;

/** A value for a field of the descriptor; messages go `depth` deep. */
function valueOf(type: string, depth: number, wide: boolean): fc.Arbitrary<unknown> {
  if (MESSAGES[type] !== undefined) return messageOf(type, depth - 1);
  const values = ENUMS[type];
  if (values !== undefined) return fc.constantFrom(...Object.values(values));
  switch (type) {
    case 'string':
      return fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.string({ minLength: 20, maxLength: 200 }),
      );
    case 'bytes':
      return fc.uint8Array({ maxLength: 300 });
    case 'bool':
      return fc.boolean();
    case 'double':
      return fc.double({ noNaN: true }).map(plusZero);
    case 'float':
      return fc.float({ noNaN: true }).map(plusZero);
    case 'int32':
      return fc.integer();
    case 'uint32':
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case 'int64':
      return fc.maxSafeInteger();
    default:
      return wide ? fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) : fc.maxSafeNat();
  }
}

function messageOf(name: string, depth: number): fc.Arbitrary<unknown> {
  const codec = codecs.get(name);
  assert.ok(codec);
  const parts: Record<string, fc.Arbitrary<unknown>> = {};
  const arms = new Map<string, fc.Arbitrary<unknown>[]>();
  for (const [, key, , type, label, wide = false] of MESSAGES[name] ?? []) {
    if (label.startsWith('oneof:')) {
      if (MESSAGES[type] !== undefined && depth <= 0) continue;
      const arm = valueOf(type, depth, wide).map((value) => ({ case: key, value }));
      const proto = label
        .slice('oneof:'.length)
        .replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
      const oneof = proto[0]?.toLowerCase() + proto.slice(1);
      arms.set(oneof, [...(arms.get(oneof) ?? []), arm]);
      continue;
    }
    const inner = label === 'map' ? type.slice('map<string,'.length, -1) : type;
    if (MESSAGES[inner] !== undefined && depth <= 0) continue;
    const value = valueOf(inner, depth, wide);
    if (label === 'repeated') parts[key] = fc.array(value, { maxLength: 3 });
    else if (label === 'map')
      parts[key] = fc.dictionary(fc.string(), value, { maxKeys: 3, noNullPrototype: true });
    else parts[key] = value;
  }
  for (const [oneof, values] of arms)
    parts[oneof] = fc.option(fc.oneof(...values), { nil: undefined });
  return fc.record(parts, { requiredKeys: [] }).map((init) => codec.create(init));
}

for (const [name, codec] of codecs) {
  test(`${name} comes back from its own bytes`, () => {
    fc.assert(
      fc.property(messageOf(name, 3), (message) => {
        assert.deepEqual(codec.decode(codec.encode(message)), message);
      }),
      { numRuns: 20 },
    );
  });
}

test('garbage is refused with a WireError and never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const codec of codecs.values()) {
        try {
          codec.decode(bytes);
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('a truncated or bit-flipped task is refused or read, never a crash', () => {
  const bytes = Task.encode(
    Task.create({
      id: 'a'.repeat(25),
      slot: 7,
      spec: { runtime: { case: 'container', value: { image: 'busybox', env: ['A=1'] } } },
    }),
  );
  for (let cut = 0; cut < bytes.length; cut += 1) {
    for (const mutant of [
      bytes.subarray(0, cut),
      bytes.map((b, i) => (i === cut ? b ^ 0x55 : b)),
    ]) {
      try {
        Task.decode(mutant);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }
  }
});

test('a 64-bit value that a number cannot hold is refused, not rounded', () => {
  const version = codecs.get('docker.swarmkit.v1.Version');
  assert.throws(
    () => version?.decode(Buffer.from('08ffffffffffffffffff01', 'hex')),
    /18446744073709551615 is out of range/,
  );
  const raft = codecs.get('docker.swarmkit.v1.ResolveAddressRequest');
  assert.deepEqual(raft?.decode(Buffer.from('08ffffffffffffffffff01', 'hex')), {
    raftId: 18_446_744_073_709_551_615n,
  });
});

test('fields that nobody knows are skipped, known ones with the wrong type refused', () => {
  const version = codecs.get('docker.swarmkit.v1.Version');
  assert.deepEqual(version?.decode(Buffer.from('0805f2010161', 'hex')), { index: 5 });
  assert.throws(
    () => version?.decode(Buffer.from('0a0161', 'hex')),
    /field 1 has the wrong wire type 2/,
  );
});
