import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goFloat, goQuote } from './go-text.ts';

test('floats print as %g does', () => {
  for (const [value, text] of [
    [0, '0'],
    [-0, '-0'],
    [0.001, '0.001'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [1e-9, '1e-09'],
    [0.000999999, '0.000999999'],
    [-5, '-5'],
    [123456, '123456'],
    [1e6, '1e+06'],
    [-1234567, '-1.234567e+06'],
    [1e100, '1e+100'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
  ] as const) {
    assert.equal(goFloat(value), text);
  }
});

test('texts print as %q does', () => {
  for (const [value, text] of [
    ['', '""'],
    ['plain', '"plain"'],
    ['a"b\\c', String.raw`"a\"b\\c"`],
    ['line\nend\ttab', String.raw`"line\nend\ttab"`],
    ['\u0000\u007f', String.raw`"\x00\x7f"`],
    ['grüße 犬', '"grüße 犬"'],
    ['\u200b\u00a0', String.raw`"\u200b\u00a0"`],
    ['\u{e0001}', String.raw`"\U000e0001"`],
  ] as const) {
    assert.equal(goQuote(value), text);
  }
});
