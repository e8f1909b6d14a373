/** Requests that nobody would write by hand: every one is answered or refused, and never half done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { CreateServiceRequest } from '../../shared/wire/gen/control.ts';
import { Cluster, Network, Node } from '../../shared/wire/gen/objects.ts';
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

const damages = fc.array(fc.record({ at: fc.nat(1 << 16), byte: fc.nat(255), how: fc.nat(2) }), {
  minLength: 1,
  maxLength: 6,
});

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
    const spec = { annotations: { name: 'in' }, ingress: true };
    tx.networks.create(Network.create({ id: 'x', spec }));
  });
  return bench;
}

test('[CTL91] a damaged service is refused as a whole, or stored as a whole', async () => {
  let reached = 0;
  await fc.assert(
    fc.asyncProperty(damages, async (list) => {
      const request = decoded(CreateServiceRequest, damaged(RICH, list));
      if (request === undefined) return;
      reached += 1;
      const bench = await peopled();
      const isStored = await answered(bench, 'CreateService', request);
      const { services } = await bench.call('ListServices', {});
      assert.equal(services.length, isStored ? 1 : 0);
      if (isStored) assert.deepEqual(services[0]?.spec, request.spec);
    }),
    { numRuns: 1500 },
  );
  assert.ok(reached > 100, 'most damage is caught by the decoder; some must get through');
});

test('[CTL91] whatever the fields hold, every call is answered or refused', async () => {
  const methods: readonly [string, { readonly request: Codec<object> }][] = Object.entries(
    SERVICES.Control,
  );
  assert.equal(methods.length, 43);
  const bench = await peopled();
  const known = fc.constantFrom('x', '', 'web', 'default', 'a.b', '__proto__', '\u0000');
  const value: fc.Memo<unknown> = fc.memo((depth) =>
    depth <= 1
      ? fc.oneof(known, fc.nat(3), fc.boolean(), fc.constant(undefined))
      : fc.oneof(known, fc.nat(3), fc.array(value(depth - 1), { maxLength: 2 })),
  );
  const chosen = fc.constantFrom(...methods);
  await fc.assert(
    fc.asyncProperty(
      chosen,
      fc.array(value(2), { maxLength: 8 }),
      async ([name, { request }], values) => {
        const message = filled(request.create(), values);
        if (message === undefined) return;
        // The name comes from the table above.
        await answered(bench, name as MethodName, message);
      },
    ),
    { numRuns: 3000 },
  );
});

/** The message with values of fitting types laid over its fields, in turn. */
function filled(message: object, values: readonly unknown[]): object | undefined {
  if (values.length === 0) return message;
  let next = 0;
  return Object.fromEntries(
    Object.entries(message).map(([key, field]: [string, unknown]) => {
      const value = values[next++ % values.length];
      return [key, typeof value === typeof field ? value : field];
    }),
  );
}
