/** The last manager of a cluster goes on alone: what stays, what is refused, and what a crash leaves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, before, after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { joinCluster } from '../ca/bootstrap.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Channel } from '../rpc/client.ts';
import { dataKeysOf, newJoiningHeaders, openRaftLog } from './data-key.ts';
import { ForceRefusedError } from './force-new-cluster.ts';
import { Node, type NodeOptions } from './node.ts';

/** A state directory, whose manager a test starts and stops. */
class Place {
  readonly directory: string;
  readonly #port: number;
  node: Node | undefined;

  constructor(directory: string, port = 0) {
    this.directory = directory;
    this.#port = port;
  }

  async start(options: Partial<NodeOptions> = {}): Promise<Node> {
    const at = { host: '127.0.0.1', port: this.#port };
    this.node = await Node.start({
      stateDir: this.directory,
      hostname: this.directory.slice(-2),
      join: undefined,
      availability: NodeSpecAvailability.DRAIN,
      executor: undefined,
      taskThreads: 1,
      manager: {
        listen: at,
        advertise: at,
        controlSocket: `${this.directory}.sock`,
        tickMs: 50,
      },
      env: realEnv,
      log: silentLog,
      onFatal: (error) => assert.fail(String(error)),
      ...options,
    });
    return this.node;
  }

  async stop(): Promise<void> {
    await this.node?.stop();
    this.node = undefined;
  }

  /** Calls its manager. */
  async ask<T>(call: (channel: Channel) => Promise<T>): Promise<T> {
    using channel = new Channel({ to: 'socket', path: `${this.directory}.sock` });
    return await call(channel);
  }

  status() {
    return this.ask(async (channel) => (await channel.service('Operations').Status({})).manager);
  }

  joins(): NonNullable<NodeOptions['join']> {
    const { manager } = this.node ?? assert.fail();
    const token = manager?.store.view((v) => [...v.clusters.all()][0]?.rootCa.joinTokens.manager);
    return { address: manager?.address ?? '', token: token ?? '' };
  }
}

const forced = { forceNewCluster: true } as const;

const refused = (words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ForceRefusedError, String(error));
  assert.match(error.message, words);
  return true;
};

const secretNames = (place: Place): Promise<string[]> =>
  place.ask(async (channel) => {
    const { secrets } = await channel.service('Control').ListSecrets({});
    return secrets.map(({ spec }) => spec.annotations.name);
  });

const createSecret = (place: Place, name: string): Promise<unknown> =>
  place.ask((channel) =>
    channel
      .service('Control')
      .CreateSecret({ spec: { annotations: { name }, data: Buffer.from('x') } }),
  );

describe('force-new-cluster', () => {
  let root: string;
  let places: readonly [Place, Place, Place];
  /** The third one's directory, when the others were lost. */
  let survivor: string;
  /** Where it is reached. */
  let port: number;
  let lostIds: readonly string[];
  let copies = 0;

  const copyOf = async (directory: string, at?: number): Promise<Place> => {
    const copy = join(root, `c${(copies += 1)}`);
    await cp(directory, copy, { recursive: true });
    return new Place(copy, at);
  };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'skein-force-'));
    port = await freePort();
    const a = new Place(join(root, 'm1'), await freePort());
    const b = new Place(join(root, 'm2'), await freePort());
    const c = new Place(join(root, 'm3'), port);
    places = [a, b, c];
    await a.start();
    await b.start({ join: a.joins() });
    await c.start({ join: a.joins() });
    await createSecret(c, 'kept');
    lostIds = [a, b].map(({ node }) => node?.nodeId ?? '');
    for (const place of places) await place.stop();
    survivor = c.directory;
  });
  after(async () => {
    for (const place of places) await place.stop();
    await rm(root, { recursive: true });
  });

  test('[NODE13] it is refused while the cluster is not lost', async () => {
    const [first, second, third] = places;
    await Promise.all([first.start(), second.start()]);
    await assert.rejects(
      third.start(forced),
      refused(/the cluster is not lost: .* of its managers run/),
    );
    // And nothing has come of it.
    await third.start();
    assert.equal((await third.status()).members.length, 3);
    for (const place of places) await place.stop();
  });

  test('[NODE13] the last manager goes on with all that there is, without the others', async (t) => {
    const place = await copyOf(survivor);
    const node = await place.start(forced);
    t.after(() => place.stop());
    const { members, removedMembers, leader, raftId } = await place.status();
    assert.deepEqual(
      members.map(({ nodeId }) => nodeId),
      [node.nodeId],
    );
    assert.deepEqual([removedMembers.length, leader], [2, raftId]);
    assert.deepEqual(await secretNames(place), ['kept']);
    await createSecret(place, 'new');
    // The lost ones are nodes like any, and can go.
    for (const nodeId of lostIds) {
      await place.ask((channel) => channel.service('Control').RemoveNode({ nodeId, force: true }));
    }
    // It is as good as any cluster.
    const joined = new Place(join(root, 'm4'));
    await joined.start({ join: place.joins() });
    t.after(() => joined.stop());
    assert.deepEqual((await secretNames(joined)).toSorted(), ['kept', 'new']);
    assert.equal((await place.status()).members.length, 2);
  });

  test('[NODE13] a lost manager that comes back is told that it was removed', async (t) => {
    const [, lost] = places;
    const place = await copyOf(survivor, port);
    await place.start(forced);
    t.after(() => place.stop());
    const back = await copyOf(lost.directory);
    const lostRaftId = await withLog(back, (log) => log.member()?.raftId ?? 0n);
    const { manager } = await back.start();
    t.after(() => back.stop());
    const isAsBefore = (): boolean => manager !== undefined && back.node?.manager === manager;
    while (isAsBefore()) await sleep(20);
    // The cluster wants it as a manager still: it may have joined again, as somebody new, by now.
    const { members, removedMembers } = await place.status();
    assert.ok(removedMembers.includes(lostRaftId));
    assert.ok(members.every(({ raftId }) => raftId !== lostRaftId));
  });

  test('[NODE14] a flag that stays on the command line does no harm', async (t) => {
    const place = await copyOf(survivor);
    await place.start(forced);
    await place.stop();
    const end = await lastIndex(place);
    await place.start(forced);
    t.after(() => place.stop());
    const { members, term } = await place.status();
    assert.equal(members.length, 1);
    assert.ok(term > 0 && (await place.status()).lastIndex <= end + 5, 'nothing was done again');

    const joined = new Place(join(root, 'm5'));
    await joined.start({ join: place.joins() });
    await place.stop();
    await joined.stop();
    // Nobody runs, and yet it is refused: the other has joined since.
    await assert.rejects(place.start(forced), refused(/^--force-new-cluster: it was done when/));
    // A start without the flag, which finds no quorum, shows that it is meant the next time.
    await place.start();
    await place.stop();
    await place.start(forced);
    assert.equal((await place.status()).members.length, 1);
  });

  test('[NODE13] where nothing can be recovered it says so, and makes nothing', async () => {
    const nothing = new Place(join(root, 'm6'));
    await assert.rejects(nothing.start(forced), refused(/m6 holds no manager$/));
    const place = await copyOf(survivor);
    const first = await place.start(forced);
    assert.ok(first.manager);
    const { address, token } = place.joins();
    const joining = new Place(join(root, 'm7'));
    await joinCluster({
      store: new KeyFiles(join(joining.directory, 'certificates')),
      address,
      token,
      managerHeaders: newJoiningHeaders(),
      env: realEnv,
      log: silentLog,
      signal: new AbortController().signal,
    });
    await assert.rejects(joining.start(forced), refused(/has got nothing of the cluster yet$/));
    await place.stop();
  });

  test('[NODE13] killed at any moment, it leaves the group of before or that of one', async () => {
    const outcomes = new Set<number>();
    for (const afterMs of [0, 2, 6, 15, 1000]) {
      const place = await copyOf(survivor);
      const code = new URL('testing/force-and-die.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [code, place.directory], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data'); // it begins
      await Promise.race([sleep(afterMs), exited]);
      child.kill('SIGKILL');
      await exited;
      // Whatever it was, the next start makes it the same.
      outcomes.add(await termOf(place));
      await place.start(forced);
      assert.equal((await place.status()).members.length, 1);
      assert.deepEqual(await secretNames(place), ['kept']);
      await place.stop();
    }
    assert.ok(outcomes.size <= 2, 'the old state or the new one, and nothing between');
  });
});

/** A port of the loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  await new Promise((resolve) => void server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function withLog<T>({ directory }: Place, use: (log: ReturnType<typeof openRaftLog>) => T) {
  const stored = await new KeyFiles(join(directory, 'certificates')).load();
  const keys = dataKeysOf(stored?.headers ?? {});
  assert.ok(keys);
  await using log = openRaftLog(join(directory, 'raft'), keys);
  return use(log);
}

const lastIndex = (place: Place): Promise<number> => withLog(place, (log) => log.lastIndex());

const termOf = (place: Place): Promise<number> =>
  withLog(place, (log) => {
    const { term, commit } = log.initialState().hardState;
    assert.ok(commit <= log.lastIndex());
    assert.ok((log.term(log.lastIndex()) ?? 0) <= term);
    return term;
  });
