import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as der from './der.ts';

test('what is written is read back: lengths of every size', () => {
  for (const size of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    const content = new Uint8Array(size).fill(7);
    const node = der.readDer(der.octets(content));
    assert.equal(node.tag, der.Tag.OCTET_STRING);
    assert.deepEqual(Buffer.from(node.content), Buffer.from(content));
  }
});

test('object identifiers are read as they were written', () => {
  const arc = fc.nat(1_000_000);
  fc.assert(
    fc.property(fc.nat(1), fc.nat(39), fc.array(arc, { maxLength: 6 }), (first, second, rest) => {
      const dotted = [first, second, ...rest].join('.');
      assert.equal(der.readOid(der.readDer(der.oid(dotted))), dotted);
    }),
  );
  assert.equal(der.readOid(der.readDer(der.oid('2.5.29.14'))), '2.5.29.14');
  assert.equal(der.oid('1.2.840.10045.2.1').toString('hex'), '06072a8648ce3d0201');
});

test('integers have no needless zeros, and stay positive', () => {
  const rows: readonly [readonly number[], string][] = [
    [[0], '020100'],
    [[0, 0, 1], '020101'],
    [[0x80], '02020080'],
    [[0x7f, 0xff], '02027fff'],
  ];
  for (const [bytes, hex] of rows) {
    assert.equal(der.integer(Uint8Array.from(bytes)).toString('hex'), hex);
  }
});

test('times have two-digit years before 2050', () => {
  assert.equal(der.time('2049-12-31T23:59:59.000Z').toString('latin1').slice(2), '491231235959Z');
  assert.equal(der.time('2050-01-01T00:00:00.000Z').toString('latin1').slice(2), '20500101000000Z');
});

test('damaged data is refused, never misread', () => {
  const damaged: readonly (readonly [string, string])[] = [
    ['', 'unexpected end'],
    ['30', 'unexpected end'],
    ['3080', 'unsupported length'], // indefinite
    ['308101', 'not minimal'],
    ['30850000000001ff', 'unsupported length'],
    ['3002', 'longer than its parent'],
    ['020100ff', 'data follows'],
    ['1f8101', 'multi-byte'],
  ];
  for (const [hex, text] of damaged) {
    assert.throws(
      () => der.readDer(Buffer.from(hex, 'hex')),
      (error) => error instanceof der.DerError && error.message.includes(text),
      hex,
    );
  }
  const walk = (node: der.DerNode): void => {
    if ((node.tag & 0x20) !== 0) for (const child of der.children(node)) walk(child);
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        walk(der.readDer(bytes));
      } catch (error) {
        assert.ok(error instanceof der.DerError);
      }
    }),
  );
});
