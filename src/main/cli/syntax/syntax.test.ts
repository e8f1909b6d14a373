import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PortConfig } from '../../../shared/wire/gen/types.ts';
import {
  capabilityOf,
  environmentFileOf,
  environmentOf,
  hostOf,
  offeredResourcesOf,
  preferenceOf,
  reservedResourceOf,
  ulimitOf,
} from './container-settings.ts';
import { mapOf, pairOf, splitFields } from './fields.ts';
import { mountOf, shortMountOf } from './mounts.ts';
import { portsOf, portText } from './ports.ts';
import { booleanOf, integerOf, SyntaxProblem } from './problem.ts';
import { bytesOf, bytesText, durationOf, durationText, nanoCpusOf } from './quantities.ts';
import { configReferenceOf, networkReferenceOf, secretReferenceOf } from './references.ts';
import { editDistance, nearest, shellWords } from './words.ts';

test('durations read as Go reads them', () => {
  for (const [text, seconds, nanos] of [
    ['0', 0, 0],
    ['10s', 10, 0],
    ['1m30s', 90, 0],
    ['1h', 3600, 0],
    ['500ms', 0, 500_000_000],
    ['1.5s', 1, 500_000_000],
    ['.5m', 30, 0],
    ['3us', 0, 3000],
    ['7ns', 0, 7],
    ['-2s', -2, 0],
  ] as const) {
    assert.deepEqual(durationOf(text), { seconds, nanos }, text);
  }
  for (const bad of ['', '10', 's', '1 s', '1d', '1s2', '9999999999999h', '1..5s']) {
    assert.throws(() => durationOf(bad), /is not a duration; write e\.g\. 10s/, bad);
  }
});

test('a duration survives its text', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), fc.nat(999_999_999), (seconds, nanos) => {
      assert.deepEqual(durationOf(durationText({ seconds, nanos })), { seconds, nanos });
    }),
  );
  assert.equal(durationText({ seconds: 5400, nanos: 0 }), '1h30m');
  assert.equal(durationText({ seconds: 0, nanos: 250_000_000 }), '250ms');
});

test('sizes and processors', () => {
  for (const [text, bytes] of [
    ['0', 0],
    ['1048576', 1_048_576],
    ['4k', 4096],
    ['64m', 67_108_864],
    ['64MiB', 67_108_864],
    ['64MB', 67_108_864],
    ['1.5g', 1_610_612_736],
    ['2 GiB', 2_147_483_648],
  ] as const) {
    assert.equal(bytesOf(text), bytes, text);
  }
  for (const bad of ['', 'm', '-1', '1e3', '5x', '99999999p']) {
    assert.throws(() => bytesOf(bad), /is not a size; write e\.g\. 64m/, bad);
  }
  assert.equal(bytesText(67_108_864), '64 MiB');
  assert.equal(bytesText(1_610_612_736), '1.5 GiB');
  for (const [text, nanos] of [
    ['1', 1e9],
    ['0.5', 5e8],
    ['.25', 2.5e8],
    ['0.000000001', 1],
  ] as const) {
    assert.equal(nanoCpusOf(text), nanos, text);
  }
  for (const bad of ['', '.', '-1', '1,5', '0.0000000001']) {
    assert.throws(() => nanoCpusOf(bad), /is not a number of processors/, bad);
  }
});

const readPorts = (text: string): readonly (readonly number[])[] =>
  portsOf(text).map((p) => [p.publishedPort, p.targetPort, p.protocol, p.publishMode]);

test('ports: short, ranges, long', () => {
  for (const [text, ports] of [
    ['80', [[0, 80, 0, 0]]],
    ['8080:80', [[8080, 80, 0, 0]]],
    ['53:53/udp', [[53, 53, 1, 0]]],
    [
      '8000-8001:80-81',
      [
        [8000, 80, 0, 0],
        [8001, 81, 0, 0],
      ],
    ],
    ['published=8080,target=80,mode=host', [[8080, 80, 0, 1]]],
    ['target=80,protocol=sctp', [[0, 80, 2, 0]]],
  ] as const) {
    assert.deepEqual(readPorts(text), ports, text);
  }
  for (const [bad, why] of [
    ['', /is not a published port/],
    ['0', /is not a published port/],
    ['65536', /is not a published port/],
    ['127.0.0.1:80:80', /leave the host address out/],
    ['80-81:90', /one size/],
    ['80/icmp', /is not a protocol; write one of tcp, udp, sctp/],
    ['published=80', /has no target/],
    ['target=80,mode=bridge', /is not a publish mode/],
    ['target=80,color=red', /"color" in .* is not known/],
  ] as const) {
    assert.throws(() => portsOf(bad), why, bad);
  }
  const port = PortConfig.create({ publishedPort: 8080, targetPort: 80, publishMode: 1 });
  assert.equal(portText(port), '*:8080->80/tcp (host)');
});

test('mounts: fields and short', () => {
  const volume = mountOf('source=data,target=/data,readonly,volume-label=a=b,volume-opt=o=addr=1');
  assert.equal(volume.type, 1);
  assert.equal(volume.readonly, true);
  assert.deepEqual(volume.volumeOptions?.labels, { a: 'b' });
  assert.deepEqual(volume.volumeOptions?.driverConfig?.options, { o: 'addr=1' });
  assert.equal(mountOf('type=bind,src=/a,dst=/b').type, 0);
  assert.equal(
    mountOf('type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777').tmpfsOptions?.mode,
    0o1777,
  );
  assert.equal(mountOf('type=volume,"source=a,b",target=/b').source, 'a,b');
  assert.deepEqual(shortMountOf('data:/data:ro'), mountOf('source=data,target=/data,ro'));
  assert.deepEqual(shortMountOf('./web:/web'), mountOf('type=bind,source=./web,target=/web'));
  for (const [bad, why] of [
    ['source=a', /has no target/],
    ['type=bind,target=/a', /binds no source/],
    ['type=nfs,target=/a', /is not a mount type/],
    ['target', /needs a value/],
    ['type=tmpfs,source=x,target=/a', /tmpfs with a source/],
    ['"target=/a', /quote that does not end/],
  ] as const) {
    assert.throws(() => mountOf(bad), why, bad);
  }
  assert.throws(() => shortMountOf('a:/b:rx'), /is not a mount/);
});

const file = (name: string, mode = 0o444) => ({
  case: 'file' as const,
  value: { name, uid: '0', gid: '0', mode },
});

test('references to secrets, configs and networks', () => {
  assert.deepEqual(secretReferenceOf('key').target, file('key'));
  assert.deepEqual(secretReferenceOf('key:other').target, file('other'));
  assert.deepEqual(configReferenceOf('site').target, file('/site'));
  assert.deepEqual(secretReferenceOf('source=key,target=/k,mode=0400').target, file('/k', 0o400));
  assert.equal(secretReferenceOf('source=key,target=/k').secretName, 'key');
  const network = networkReferenceOf('name=front,alias=a,alias=b,driver-opt=x=y');
  assert.deepEqual([network.target, network.aliases], ['front', ['a', 'b']]);
  for (const bad of ['', 'target=/x', 'source=a,mode=999', 'source=a,color=1']) {
    assert.throws(() => secretReferenceOf(bad), SyntaxProblem, bad);
  }
  assert.throws(() => networkReferenceOf('alias=a'), /names no network/);
});

test('small settings', () => {
  assert.deepEqual(ulimitOf('nofile=1024:2048'), { name: 'nofile', soft: 1024, hard: 2048 });
  assert.throws(() => ulimitOf('nofile=3:2'), /is not a ulimit/);
  assert.equal(
    preferenceOf('spread=node.labels.zone').preference?.value.spreadDescriptor,
    'node.labels.zone',
  );
  assert.throws(() => preferenceOf('pack=x'), /write e\.g\. spread=node\.labels\.zone/);
  assert.deepEqual(reservedResourceOf('gpu=2').resource?.value, { kind: 'gpu', value: 2 });
  assert.throws(() => reservedResourceOf('gpu=x'), /is not a generic resource/);
  assert.deepEqual(
    offeredResourcesOf('gpu=2,ssd=a').map((r) => r.resource?.case),
    ['discreteResourceSpec', 'namedResourceSpec'],
  );
  assert.equal(hostOf('db:10.0.0.5'), '10.0.0.5 db');
  assert.throws(() => hostOf('db'), /is not a host/);
  assert.equal(capabilityOf('net_admin'), 'CAP_NET_ADMIN');
  assert.deepEqual(environmentFileOf('# note\nA=1\n\nB\nC\n', { B: 'two' }), ['A=1', 'B=two']);
  assert.throws(() => environmentOf('=x', {}), /write NAME=VALUE/);
  assert.equal(booleanOf('1'), true);
  assert.throws(() => booleanOf('yes'), /true or false/);
  assert.throws(() => integerOf('70000', 1, 65_535), /from 1 to 65535/);
  assert.deepEqual(mapOf(['a=1', 'b', 'a=2']), { a: '2', b: '' });
  assert.throws(() => pairOf('=1'), /has no name/);
});

test('words of a shell', () => {
  assert.deepEqual(shellWords(String.raw`sh -c 'echo "a b"' "x \" y" a\ b ''`), [
    'sh',
    '-c',
    'echo "a b"',
    'x " y',
    'a b',
    '',
  ]);
  assert.throws(() => shellWords("a 'b"), /does not end/);
  assert.equal(nearest('replica', ['replicas', 'image']), 'replicas');
  assert.equal(nearest('zzz', ['replicas', 'image']), undefined);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});

test('no text breaks a parser: it is read, or turned down with a reason', () => {
  const parsers = [
    durationOf,
    bytesOf,
    nanoCpusOf,
    portsOf,
    mountOf,
    shortMountOf,
    secretReferenceOf,
    configReferenceOf,
    networkReferenceOf,
    ulimitOf,
    preferenceOf,
    reservedResourceOf,
    offeredResourcesOf,
    hostOf,
    capabilityOf,
    shellWords,
    splitFields,
    pairOf,
  ];
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'source=',
      'target=',
      '/a',
      ',',
      ':',
      '=',
      '80',
      '-',
      '"',
      'type=bind',
      '1s',
      'mode=',
    ),
  );
  const text = fc.array(piece, { maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, fc.constantFrom(...parsers), (value, parse) => {
      try {
        parse(value);
      } catch (error) {
        assert.ok(error instanceof SyntaxProblem, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
