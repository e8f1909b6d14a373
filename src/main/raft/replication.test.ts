/** Drivers that send to each other: joining, following by entries and by snapshot, another leader. */
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { ConfChangeType, Message, MessageType } from '../../shared/wire/gen/raftpb.ts';
import { Config } from '../../shared/wire/gen/objects.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { ReplicatedStore } from '../store/store.ts';
import { foundLog, RaftDriver } from './driver.ts';
import { LmdbLog } from './log/lmdb-log.ts';

const KEY = new Uint8Array(32).fill(7);
const { ConfChangeAddNode, ConfChangeRemoveNode } = ConfChangeType;

const memberOf = (raftId: bigint): RaftMember =>
  RaftMember.create({ raftId, nodeId: `n${raftId}`, addr: `h:${raftId}` });

type Member = {
  readonly driver: RaftDriver;
  readonly store: ReplicatedStore;
  readonly log: LmdbLog;
};

/** Members of one group; messages arrive in a later turn of the event loop. */
class Group implements AsyncDisposable {
  readonly members = new Map<bigint, Member>();
  readonly sent: Message[] = [];
  readonly #directory: string;
  readonly #interval: number;
  #heard: (() => void) | undefined;

  private constructor(directory: string, interval: number) {
    this.#directory = directory;
    this.#interval = interval;
  }

  static async found(interval: number): Promise<Group> {
    const group = new Group(await mkdtemp(join(tmpdir(), 'skein-raft-')), interval);
    await group.start(1n);
    return group;
  }

  async start(raftId: bigint): Promise<Member> {
    const directory = join(this.#directory, String(raftId));
    await mkdir(directory, { recursive: true });
    const log = new LmdbLog(directory, KEY);
    if (log.member() === undefined) {
      if (raftId === 1n) await foundLog(log, memberOf(raftId), []);
      else await log.saveMember(memberOf(raftId), [memberOf(1n)]);
    }
    const driver: RaftDriver = new RaftDriver({
      log,
      machine: {
        committed: (index, bytes) => {
          store.committed(index, bytes);
          this.#heard?.();
        },
        abort: () => store.abort(),
        snapshot: () => store.snapshot(),
        restore: (index, chunks) => {
          store.restore(index, chunks);
          this.#heard?.();
        },
      },
      randBelow: realEnv.randBelow,
      logger: silentLog,
      tickMs: 20,
      settings: { preVote: true },
      snapshotEvery: () => ({ interval: this.#interval, keep: 2 }),
      send: (messages) => this.#send(messages),
      onLeadership: () => this.#heard?.(),
      onMembers: () => this.#heard?.(),
      onFatal: (error) => assert.fail(String(error)),
    });
    const store = new ReplicatedStore({ env: realEnv, log: driver });
    const member = { driver, store, log };
    this.members.set(raftId, member);
    await driver.start();
    return member;
  }

  /** Lets another member in, as its leader does. */
  async add(raftId: bigint): Promise<Member> {
    const context = RaftMember.encode(memberOf(raftId));
    const leader = await this.leader();
    await leader.driver.changeMembership({ type: ConfChangeAddNode, nodeId: raftId, context });
    return this.start(raftId);
  }

  async stop(raftId: bigint): Promise<void> {
    const member = this.members.get(raftId);
    this.members.delete(raftId);
    await member?.driver.stop();
    await member?.log[Symbol.asyncDispose]();
  }

  async leader(): Promise<Member> {
    const leading = (): Member | undefined =>
      [...this.members.values()].find(({ driver }) => driver.leading);
    await this.until(() => leading() !== undefined);
    return leading() ?? assert.fail();
  }

  /** Resolves when it is so; asked whenever something was applied. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  async write(name: string): Promise<void> {
    const { store } = await this.leader();
    const spec = { annotations: { name } };
    await store.update((tx) => tx.configs.create(Config.create({ id: name, spec })));
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.sent.push(message);
      setImmediate(() => this.members.get(message.to)?.driver.receive(message));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const raftId of this.members.keys()) await this.stop(raftId);
    await rm(this.#directory, { recursive: true });
  }
}

const has =
  ({ store }: Member, ...names: string[]) =>
  (): boolean =>
    store.view((view) => names.every((name) => view.configs.get(name) !== undefined));

test('members that join get everything, and go on when the leader is gone', async () => {
  await using group = await Group.found(0);
  await group.write('a');
  const second = await group.add(2n);
  await group.until(has(second, 'a'));
  const third = await group.add(3n);
  await group.write('b');
  await group.until(() => has(second, 'b')() && has(third, 'a', 'b')());
  assert.deepEqual(
    third.driver.members().map(({ addr }) => addr),
    ['h:1', 'h:2', 'h:3'],
  );
  await group.stop(1n);
  await group.write('c');
  await group.until(() => has(second, 'a', 'b', 'c')() && has(third, 'a', 'b', 'c')());
  const first = await group.start(1n);
  await group.until(has(first, 'a', 'b', 'c'));
  assert.ok([...group.members.values()].filter(({ driver }) => driver.leading).length === 1);
});

test('who fell behind the log is brought up to date by a snapshot, and keeps it', async () => {
  await using group = await Group.found(10);
  const second = await group.add(2n);
  await group.add(3n);
  await group.write('first');
  await group.until(has(second, 'first'));
  await group.stop(2n);
  const names = Array.from({ length: 40 }, (_, i) => `w${i}`);
  for (const name of names) await group.write(name);
  group.sent.length = 0;
  const back = await group.start(2n);
  await group.until(has(back, 'first', ...names));
  assert.ok(group.sent.some(({ type, to }) => type === MessageType.MsgSnap && to === 2n));
  assert.equal(back.driver.members().length, 3);
  await group.stop(2n);
  const again = await group.start(2n);
  await group.until(has(again, 'first', ...names));
  // Entries come after the snapshot.
  await group.write('last');
  await group.until(has(again, 'last'));
});

test('a member that was removed is one no more, for ever', async () => {
  await using group = await Group.found(0);
  const second = await group.add(2n);
  const third = await group.add(3n);
  await group.until(() => second.driver.members().length === 3);
  const { driver } = await group.leader();
  const change = { type: ConfChangeRemoveNode, nodeId: 3n, context: undefined };
  await driver.changeMembership(change);
  await group.until(() => second.driver.isRemoved(3n));
  assert.equal(driver.members().length, 2);
  assert.throws(() => third.driver.changeMembership(change), /node lost leader status/);
});

test('a snapshot that cannot be read is refused and changes nothing', async () => {
  await using group = await Group.found(0);
  const second = await group.add(2n);
  await group.write('a');
  await group.until(has(second, 'a'));
  const snapshot = { data: Uint8Array.of(0xff, 0xff), metadata: { index: 1000, term: 9 } };
  const type = MessageType.MsgSnap;
  const message = Message.create({ type, from: 1n, to: 2n, term: 9, snapshot });
  assert.throws(() => second.driver.receive(message), { name: 'WireError' });
  await group.write('b');
  await group.until(has(second, 'a', 'b'));
});
