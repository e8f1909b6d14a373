/**
 * The generated codecs beside protobufjs (whose reflection compiles an encoder and a decoder for each
 * type when it is first used): one task of a service with networks, ports, secrets and mounts, and one
 * status of it as nodes report them.
 *
 * Before anything is timed, each side must read what the other wrote, and mean the same.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { Task } from '../src/shared/wire/gen/objects.ts';
import { EndpointSpecResolutionMode } from '../src/shared/wire/gen/specs.ts';
import {
  MountType,
  PortConfigProtocol,
  TaskState,
  TaskStatus,
} from '../src/shared/wire/gen/types.ts';
import type { Codec } from '../src/shared/wire/runtime.ts';
import type { Bench, Session } from './kit/bench.ts';
import { micro } from './kit/micro.ts';

const stamp = { seconds: 1_790_000_000, nanos: 123_456_789 };

const network = (name: string, at: number) => ({
  network: {
    id: `network${String(at).padStart(18, '0')}`,
    meta: { version: { index: 40 + at }, createdAt: stamp, updatedAt: stamp },
    spec: { annotations: { name, labels: { team: 'storage' } }, driverConfig: { name: 'overlay' } },
    driverState: {
      name: 'overlay',
      options: { 'com.docker.network.driver.overlay.vxlanid_list': String(4097 + at) },
    },
    ipam: {
      driver: { name: 'default' },
      configs: [{ subnet: `10.0.${at}.0/24`, gateway: `10.0.${at}.1` }],
    },
  },
  addresses: [`10.0.${at}.17/24`],
  aliases: ['web', 'web.internal'],
});

const port = {
  name: 'http',
  protocol: PortConfigProtocol.TCP,
  targetPort: 8080,
  publishedPort: 30_080,
};

const status = TaskStatus.create({
  timestamp: stamp,
  state: TaskState.RUNNING,
  message: 'started',
  runtimeStatus: {
    case: 'container',
    value: { containerId: 'f0'.repeat(32), pid: 31_337, exitCode: 0 },
  },
  portStatus: { ports: [port] },
  appliedBy: 'manager000000000000000000',
  appliedAt: stamp,
});

const task = Task.create({
  id: 'task000000000000000000001',
  meta: { version: { index: 123_456 }, createdAt: stamp, updatedAt: stamp },
  serviceId: 'service000000000000000001',
  nodeId: 'node000000000000000000017',
  slot: 42,
  specVersion: { index: 119 },
  annotations: { name: 'web.42.task000000000000000000001' },
  serviceAnnotations: { name: 'web', labels: { team: 'storage', tier: 'front', stage: 'live' } },
  desiredState: TaskState.RUNNING,
  status,
  networks: [network('ingress', 0), network('back', 1)],
  endpoint: {
    spec: { mode: EndpointSpecResolutionMode.VIP, ports: [port] },
    ports: [port],
    virtualIps: [{ networkId: 'network000000000000000001', addr: '10.0.1.2/24' }],
  },
  spec: {
    runtime: {
      case: 'container',
      value: {
        image: `registry.example.org/team/web:1.2.3@sha256:${'0123456789abcdef'.repeat(4)}`,
        command: ['/usr/local/bin/web'],
        args: ['--listen', ':8080', '--verbose'],
        env: Array.from({ length: 12 }, (_, i) => `SETTING_${i}=value of setting number ${i}`),
        labels: { 'org.example.stage': 'live', 'org.example.team': 'storage' },
        user: '1000:1000',
        mounts: [{ type: MountType.VOLUME, source: 'data', target: '/var/lib/web' }],
        secrets: ['certificate', 'password'].map((secretName) => ({
          secretId: `secret-${secretName}`,
          secretName,
          target: { case: 'file', value: { name: secretName, uid: '0', gid: '0', mode: 0o400 } },
        })),
        stopGracePeriod: { seconds: 10, nanos: 0 },
      },
    },
    resources: {
      limits: { nanoCpus: 2_000_000_000, memoryBytes: 536_870_912 },
      reservations: { nanoCpus: 500_000_000, memoryBytes: 268_435_456 },
    },
    restart: { condition: 2, delay: { seconds: 5, nanos: 0 }, maxAttempts: 3 },
    placement: { constraints: ['node.role==worker', 'node.labels.zone!=c'] },
    networks: [{ target: 'network000000000000000001', aliases: ['web'] }],
  },
});

const proto = fileURLToPath(new URL('../proto/', import.meta.url));
const schema = new protobuf.Root();
for (const file of globSync('{google,docker}/**/*.proto', { cwd: proto })) {
  protobuf.parse(readFileSync(join(proto, file), 'utf8'), schema);
}

/** Both sides read the other's bytes, and what they read means the same. */
function agree<T>(name: string, ours: Codec<T>, theirs: protobuf.Type, message: T): Uint8Array {
  const bytes = ours.encode(message).slice();
  const rewritten = theirs.encode(theirs.decode(bytes)).finish();
  assert.deepEqual(ours.decode(bytes), message, `${name}: our own bytes`);
  assert.deepEqual(ours.decode(rewritten), message, `${name}: protobufjs read and wrote ours`);
  const object = (from: Uint8Array): object => theirs.toObject(theirs.decode(from));
  assert.deepEqual(object(ours.encode(ours.decode(rewritten))), object(bytes), name);
  return bytes;
}

async function measure<T>(
  session: Session,
  { name, ours, message }: { readonly name: string; readonly ours: Codec<T>; readonly message: T },
): Promise<void> {
  const theirs = schema.lookupType(`docker.swarmkit.v1.${name}`);
  const bytes = agree(name, ours, theirs, message);
  const decoded = theirs.decode(bytes);
  const what = `${name}, ${bytes.length} bytes`;
  await micro(session, `decode ${what}`, {
    generated: () => ours.decode(bytes),
    protobufjs: () => theirs.decode(bytes),
  });
  await micro(session, `encode ${what}`, {
    generated: () => ours.encode(message),
    protobufjs: () => theirs.encode(decoded).finish(),
  });
}

export const bench: Bench = {
  about: 'our codecs beside protobufjs',
  run: async (session) => {
    await measure(session, { name: 'Task', ours: Task, message: task });
    await measure(session, { name: 'TaskStatus', ours: TaskStatus, message: status });
  },
};
