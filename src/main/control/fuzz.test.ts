/** Requests that nobody would write by hand: every one is answered or refused, and never half done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { CreateServiceRequest } from '../../shared/wire/gen/control.ts';
import { Cluster, Config, Network, Node, Secret } from '../../shared/wire/gen/objects.ts';
import { type Codec, WireError } from '../../shared/wire/runtime.ts';
import { Bench, type MethodName } from './testing/bench.ts';

/** A spec that uses every part, to be damaged. */
const RICH = CreateServiceRequest.encode(
  CreateServiceRequest.create({
    spec: {
      annotations: { name: 'web', labels: { a: 'b' } },
      mode: { case: 'replicated', value: { replicas: 3n } },
      task: {
        runtime: {
          case: 'container',
          value: {
            image: 'nginx:1@sha256:' + '0'.repeat(64),
            env: ['A={{.Task.Slot}}'],
            hostname: '{{.Node.Hostname}}',
            mounts: [
              { source: 's', target: '/t', volumeOptions: { labels: { x: '{{.Task.ID}}' } } },
            ],
            secrets: [
              { secretId: 's', secretName: 's', target: { case: 'file', value: { name: 'f' } } },
            ],
            configs: [{ configId: 'c', configName: 'c', target: { case: 'runtime', value: {} } }],
            healthcheck: { interval: { seconds: 1 }, retries: 3 },
            privileges: { credentialSpec: { source: { case: 'config', value: 'c' } } },
          },
        },
        resources: { limits: { nanoCpus: 1e9, memoryBytes: 1 << 23 } },
        restart: { delay: { seconds: 1 }, window: { seconds: 1 } },
        placement: { constraints: ['node.role==worker'] },
        networks: [{ target: 'n' }],
      },
      update: { delay: { seconds: 1 }, monitor: { seconds: 1 }, maxFailureRatio: 0.5 },
      endpoint: { ports: [{ publishedPort: 80, targetPort: 80 }] },
    },
  }),
);

type Damage = { readonly at: number; readonly byte: number; readonly how: number };

function damaged(bytes: Uint8Array, damages: readonly Damage[]): Uint8Array {
  const copy = [...bytes];
  for (const { at, byte, how } of damages) {
    const index = at % copy.length;
    copy.splice(index, how === 0 ? 0 : 1, ...(how === 2 ? [] : [byte]));
  }
  return Uint8Array.from(copy);
}

/** Mostly bytes in place of others, since a changed length is caught by the decoder. */
const damages = fc.array(
  fc.record({
    at: fc.nat(1 << 16),
    byte: fc.oneof(fc.nat(255), fc.integer({ min: 32, max: 126 })),
    how: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.nat(2)),
  }),
  { minLength: 1, maxLength: 4 },
);

function decoded<T>(codec: Codec<T>, bytes: Uint8Array): T | undefined {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Makes the call; when it is refused, checks that nothing at all was written. */
async function answered(bench: Bench, name: MethodName, request: object): Promise<boolean> {
  const { store, log } = bench.memory;
  const before = store.appliedIndex;
  const refused = await bench.refusal(name, request);
  if (refused === undefined) return true;
  assert.notEqual(refused.text, '');
  assert.equal(log.pending.length, 0);
  assert.equal(store.appliedIndex, before, `${name} was refused and wrote: ${refused.text}`);
  return false;
}

async function peopled(): Promise<Bench> {
  const bench = new Bench();
  await bench.write((tx) => {
    tx.clusters.create(Cluster.create({ id: 'x', spec: { annotations: { name: 'default' } } }));
    tx.nodes.create(Node.create({ id: 'x' }));
    tx.secrets.create(Secret.create({ id: 's', spec: { annotations: { name: 's' } } }));
    tx.configs.create(Config.create({ id: 'c', spec: { annotations: { name: 'c' } } }));
    const spec = { annotations: { name: 'in' }, ingress: true };
    tx.networks.create(Network.create({ id: 'x', spec }));
  });
  return bench;
}

test('[CTL91] a damaged service is refused as a whole, or stored as a whole', async () => {
  assert.equal(
    await answered(await peopled(), 'CreateService', CreateServiceRequest.decode(RICH)),
    true,
  );
  const ends = { stored: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(damages, async (list) => {
      const request = decoded(CreateServiceRequest, damaged(RICH, list));
      if (request === undefined) return;
      const bench = await peopled();
      const isStored = await answered(bench, 'CreateService', request);
      ends[isStored ? 'stored' : 'refused'] += 1;
      const { services } = await bench.call('ListServices', {});
      assert.equal(services.length, isStored ? 1 : 0);
      if (isStored) assert.deepEqual(services[0]?.spec, request.spec);
    }),
    { numRuns: 2000 },
  );
  assert.ok(ends.stored > 10 && ends.refused > 100, JSON.stringify(ends));
});

/** Bytes of a message of unknown type: fields of low numbers, holding numbers, texts and messages. */
const wireFields: fc.Memo<readonly number[]> = fc.memo((depth) => {
  const text = fc.constantFrom('x', '', 'web', 'default', '__proto__', 'a b', '\u0000', 'é');
  const texts = text.map((chosen) => [...Buffer.from(chosen)]);
  const inner = depth <= 1 ? texts : fc.oneof(texts, wireFields(depth - 1));
  const number = fc.integer({ min: 1, max: 9 });
  const field = fc.oneof(
    fc.tuple(number, fc.nat(3)).map(([tag, value]) => [tag << 3, value]),
    fc.tuple(number, inner).map(([tag, bytes]) => [(tag << 3) | 2, bytes.length, ...bytes]),
  );
  return fc.array(field, { maxLength: 3 }).map((fields) => fields.flat().slice(0, 120));
});

const NAMES = Object.keys(SERVICES.Control).filter(
  (name): name is MethodName => name in SERVICES.Control,
);

test('[CTL91] whatever the fields hold, every call is answered or refused', async () => {
  assert.equal(NAMES.length, 43);
  const bench = await peopled();
  const reached = new Set<MethodName>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...NAMES), wireFields(4), async (name, bytes) => {
      const codec: Codec<object> = SERVICES.Control[name].request;
      const request = decoded(codec, Uint8Array.from(bytes));
      if (request === undefined) return;
      reached.add(name);
      await answered(bench, name, request);
    }),
    { numRuns: 6000 },
  );
  assert.equal(reached.size, NAMES.length, 'every method was reached');
});
