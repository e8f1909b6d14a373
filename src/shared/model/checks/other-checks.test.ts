import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClusterSpec,
  ConfigSpec,
  NetworkSpec,
  SecretSpec,
  VolumeSpec,
} from '../../wire/gen/specs.ts';
import type { Codec, Init } from '../../wire/runtime.ts';
import { clusterProblems } from './cluster-checks.ts';
import { networkProblems } from './network-checks.ts';
import { configProblems, secretProblems } from './payload-checks.ts';
import { firstProblem, type Problems } from './problem.ts';
import { volumeChangeProblems, volumeProblems } from './volume-checks.ts';

const bytes = (length: number): Uint8Array => new Uint8Array(length);
const name = (text: string) => ({ annotations: { name: text } });
const named = name('a');

type Row<T> = readonly [spec: Init<T>, text: string | undefined, code?: string];

function check<T>(codec: Codec<T>, problems: (spec: T) => Problems, rows: readonly Row<T>[]): void {
  for (const [init, text, code] of rows) {
    const problem = firstProblem(problems(codec.create(init)));
    assert.equal(problem?.text, text);
    if (text !== undefined) assert.equal(problem?.code, code ?? 'INVALID_ARGUMENT');
  }
}

const KEY_NAME =
  'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]';

test('[CHK5] secrets and configs', () => {
  const secretSize = 'secret data must be larger than 0 and less than 512000 bytes';
  check(SecretSpec, secretProblems, [
    [{ ...named, data: bytes(1) }, undefined],
    [{ ...name('A.b-_9'), data: bytes(511_999) }, undefined],
    [{ ...name('x'.repeat(64)), data: bytes(1) }, undefined],
    [{ ...named, driver: { name: 'vault' } }, undefined],
    [{ data: bytes(1) }, 'name must be provided'],
    [{ ...name('.a'), data: bytes(1) }, KEY_NAME],
    [{ ...name('a-'), data: bytes(1) }, KEY_NAME],
    [{ ...name('a b'), data: bytes(1) }, KEY_NAME],
    [{ ...name('x'.repeat(65)), data: bytes(1) }, KEY_NAME],
    [named, secretSize],
    [{ ...named, data: bytes(512_000) }, secretSize],
    [{ ...named, driver: {} }, 'secret driver must have a name'],
  ]);
  const configSize = 'config data must be larger than 0 and less than 1024000 bytes';
  check(ConfigSpec, configProblems, [
    [{ ...named, data: bytes(1_023_999) }, undefined],
    [{}, 'name must be provided'],
    [{ ...name('é'), data: bytes(1) }, KEY_NAME],
    [named, configSize],
    [{ ...named, data: bytes(1_024_000) }, configSize],
  ]);
});

const ipam = (config: { subnet?: string; range?: string; gateway?: string }) => ({
  ...named,
  ipam: { configs: [config] },
});
const subnet = '10.1.0.0/24';

test('[CHK6] networks', () => {
  check(NetworkSpec, networkProblems, [
    [named, undefined],
    [
      { ...named, driverConfig: { name: 'macvlan' }, ipam: { driver: { name: 'default' } } },
      undefined,
    ],
    [ipam({ subnet, range: '10.1.0.128/25', gateway: '10.1.0.1' }), undefined],
    [ipam({ subnet: 'fd00::/64', gateway: 'fd00::1' }), undefined],
    [{ ...named, ingress: true, attachable: true }, 'ingress network cannot be attachable'],
    [{}, 'meta: name must be provided'],
    [name('a b'), 'name must be valid as a DNS name component'],
    [
      { annotations: { name: 'a', labels: { 'com.docker.swarm.predefined': '' } } },
      'label com.docker.swarm.predefined is kept for predefined networks and cannot be set by users',
      'PERMISSION_DENIED',
    ],
    [{ ...named, driverConfig: {} }, 'driver name: if driver is specified name is required'],
    [{ ...named, driverConfig: { name: 'weave' } }, 'plugin weave not supported'],
    [{ ...named, ipam: { driver: {} } }, 'driver name: if driver is specified name is required'],
    [{ ...named, ipam: { driver: { name: 'infoblox' } } }, 'plugin infoblox not supported'],
    [
      { ...named, ingress: true, driverConfig: { name: 'bridge' } },
      'only overlay driver is currently supported for ingress network',
      'UNIMPLEMENTED',
    ],
    [ipam({}), 'ipam configuration: cannot be empty'],
    [ipam({ gateway: '10.1.0.1' }), 'ipam configuration: invalid subnet '],
    [ipam({ subnet: '10.1.0.0' }), 'ipam configuration: invalid subnet 10.1.0.0'],
    [ipam({ subnet, range: '10.1.0.0' }), 'ipam configuration: invalid range 10.1.0.0'],
    [
      ipam({ subnet, range: '10.2.0.0/25' }),
      'ipam configuration: subnet 10.1.0.0/24 does not contain range 10.2.0.0/25',
    ],
    [
      ipam({ subnet, range: '10.1.0.0/16' }),
      'ipam configuration: subnet 10.1.0.0/24 does not contain range 10.1.0.0/16',
    ],
    [ipam({ subnet, gateway: '10.1.0' }), 'ipam configuration: invalid gateway 10.1.0'],
    [
      ipam({ subnet, gateway: 'fd00::1' }),
      'ipam configuration: subnet 10.1.0.0/24 does not contain gateway fd00::1',
    ],
  ]);
});

const cluster = name('default');
const policy = (alg: string) => ({ policies: [{}, { secret: { alg } }] });

test('[CHK7] clusters', () => {
  check(ClusterSpec, clusterProblems, [
    [cluster, undefined],
    [{ ...cluster, caConfig: { nodeCertExpiry: { seconds: 3600 } } }, undefined],
    [{ ...cluster, acceptancePolicy: policy('BCrypt') }, undefined],
    [
      { ...cluster, caConfig: { nodeCertExpiry: { seconds: 3599, nanos: 999_999_999 } } },
      'minimum certificate expiry time is: 1h0m0s',
    ],
    [{ ...cluster, acceptancePolicy: policy('md5') }, 'hashing algorithm is not supported: md5'],
    [
      { ...cluster, dispatcher: { heartbeatPeriod: { nanos: -1 } } },
      'heartbeat time period cannot be a negative duration',
    ],
    [name('other'), 'modification of cluster name is not allowed'],
    [{}, 'modification of cluster name is not allowed'],
  ]);
});

const access = { accessMode: { accessType: { case: 'block', value: {} } } } as const;
const driver = { driver: { name: 'csi' } };

test('[CHK8] volumes', () => {
  check(VolumeSpec, volumeProblems, [
    [{ ...named, ...access, ...driver }, undefined],
    [{ ...named, ...access }, 'driver must be specified'],
    [{ ...access, ...driver }, 'meta: name must be provided'],
    [{ ...named, ...driver }, 'AccessMode must not be nil'],
    [
      { ...named, ...driver, accessMode: {} },
      'Volume AccessMode must specify either Mount or Block access type',
    ],
  ]);
  const from = VolumeSpec.create({ ...named, ...access, ...driver });
  const changes: readonly (readonly [Init<VolumeSpec>, string | undefined])[] = [
    [{ availability: 2, annotations: { name: 'a', labels: { a: 'b' } } }, undefined],
    [name('b'), 'Name cannot be updated'],
    [{ group: 'g' }, 'Group cannot be updated'],
    [{ accessibilityRequirements: {} }, 'AccessibilityRequirements cannot be updated'],
    [{ driver: undefined }, 'Driver cannot be updated'],
    [{ accessMode: { scope: 1 } }, 'AccessMode cannot be updated'],
    [{ secrets: [{ key: 'k' }] }, 'Secrets cannot be updated'],
    [{ capacityRange: {} }, 'CapacityRange cannot be updated'],
  ];
  for (const [init, text] of changes) {
    const to = VolumeSpec.create({ ...from, ...init });
    assert.equal(firstProblem(volumeChangeProblems(from, to))?.text, text);
  }
});
