/** Drivers that send to each other: joining, following by entries and by snapshot, another leader. */
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { ConfChangeType, Message, MessageType } from '../../shared/wire/gen/raftpb.ts';
import { Config } from '../../shared/wire/gen/objects.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { readSnapshot, snapshotHeader } from '../store/entry-codec.ts';
import { ReplicatedStore } from '../store/store.ts';
import { toConfState } from './core/configuration.ts';
import { RaftDriver } from './driver.ts';
import { foundLog } from './found-log.ts';
import { LmdbLog } from './log/lmdb-log.ts';
import { withSnapshot } from './snapshot-source.ts';

const KEY = new Uint8Array(32).fill(7);
const TICK_MS = 20;
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
  /** Messages that do not arrive. */
  isLost: (message: Message) => boolean = () => false;
  readonly #directory: string;
  readonly #interval: number;
  readonly #electionTicks: number;
  #heard: (() => void) | undefined;

  private constructor(directory: string, interval: number, electionTicks: number) {
    this.#directory = directory;
    this.#interval = interval;
    this.#electionTicks = electionTicks;
  }

  static async found(interval: number, electionTicks = 10): Promise<Group> {
    const group = new Group(await mkdtemp(join(tmpdir(), 'skein-raft-')), interval, electionTicks);
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
        restore: async (index, chunks) => {
          await store.restore(index, chunks);
          this.#heard?.();
        },
      },
      randBelow: realEnv.randBelow,
      logger: silentLog,
      tickMs: TICK_MS,
      settings: { preVote: true, electionTicks: this.#electionTicks },
      snapshotEvery: () => ({ interval: this.#interval, keep: 2 }),
      send: (messages) =>
        this.#send(messages.map((each) => withSnapshot(each, () => driver.openSnapshot()))),
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

  /** Resolves when it is so; asked whenever something was applied, and now and then. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      const heard = new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
      await Promise.race([heard, sleep(TICK_MS)]);
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
      if (this.isLost(message)) continue;
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

test('a snapshot tells of the members at its index, and is made anew for one that joins later', async () => {
  await using group = await Group.found(10);
  const names = Array.from({ length: 25 }, (_, i) => `w${i}`);
  for (const name of names) await group.write(name);
  const { log } = await group.leader();
  // Snapshots are made beside the writes, which may be faster.
  for (let i = 0; log.firstIndex() === 1; i += 1) await group.write(`more${i}`);
  for (const raftId of [2n, 3n]) {
    const before = log.readSnapshot()?.meta.index ?? 0;
    const joined = await group.add(raftId);
    await group.until(has(joined, ...names));
    const ids = Array.from({ length: Number(raftId) }, (_, i) => BigInt(i + 1));
    const sent = group.sent.findLast(
      ({ type, to }) => type === MessageType.MsgSnap && to === raftId,
    );
    const { metadata, data = new Uint8Array() } = sent?.snapshot ?? assert.fail();
    assert.deepEqual(metadata.confState.voters, ids);
    assert.deepEqual(
      readSnapshot(data).membership.members.map((member) => member.raftId),
      ids,
    );
    assert.ok(metadata.index > before);
  }
});

test('changes of the membership wait for each other', async () => {
  await using group = await Group.found(0);
  const { driver } = await group.leader();
  const second = memberOf(2n);
  const type = ConfChangeType.ConfChangeAddNode;
  const added = driver.changeMembership({ type, nodeId: 2n, context: RaftMember.encode(second) });
  const moved = { ...second, addr: 'elsewhere:2' };
  const updated = driver.changeMembership({
    type: ConfChangeType.ConfChangeUpdateNode,
    nodeId: 2n,
    context: RaftMember.encode(moved),
  });
  await added;
  await group.start(2n);
  await updated;
  assert.deepEqual(driver.members(), [memberOf(1n), moved]);
});

test('a leader that is removed leads no more, and the others go on', async () => {
  await using group = await Group.found(0);
  await group.add(2n);
  await group.add(3n);
  const old = await group.leader();
  const nodeId = old.driver.status()?.id ?? assert.fail();
  const change = { type: ConfChangeRemoveNode, nodeId, context: undefined };
  const removed = old.driver.changeMembership(change);
  await Promise.resolve();
  // Its log must not become longer than that of those who stay.
  assert.throws(() => old.driver.propose(Buffer.from('late')), { code: 'NOT_LEADER' });
  await removed;
  await group.until(() => !old.driver.leading);
  await group.write('after');
  assert.notEqual(old, await group.leader());
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
  await assert.rejects(third.driver.changeMembership(change), /node lost leader status/);
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

const leads = ({ driver }: Member): boolean => driver.leading;

const config = (id: string): Config => Config.create({ id, spec: { annotations: { name: id } } });

const FOR_EVER = new AbortController().signal;

/** Three members that agree, led by the first. */
async function three(electionTicks = 10): Promise<[Group, Member, Member, Member]> {
  const group = await Group.found(0, electionTicks);
  const first = await group.leader();
  const second = await group.add(2n);
  const third = await group.add(3n);
  await group.until(() => [second, third].every(({ driver }) => driver.members().length === 3));
  return [group, first, second, third];
}

test('a read on any member sees all that was acknowledged before, however late that arrives', async () => {
  const [group, ...members] = await three();
  await using _ = group;
  for (let round = 0; round < 5; round += 1) {
    await group.write(`w${round}`);
    const reads = members.map(async (member) => {
      await member.driver.readIndex(FOR_EVER);
      assert.ok(has(member, `w${round}`)());
    });
    await Promise.all(reads);
  }
});

test('reads of one turn share one request', async () => {
  const [group, , second] = await three();
  await using _ = group;
  group.sent.length = 0;
  await Promise.all(Array.from({ length: 100 }, () => second.driver.readIndex(FOR_EVER)));
  const requests = group.sent.filter(({ type }) => type === MessageType.MsgReadIndex);
  // A slow machine may have lost patience and asked again.
  assert.ok(requests.length < 10, `${requests.length} requests`);
});

test('a request or an answer that is lost is made up for', async () => {
  const [group, , second] = await three();
  await using _ = group;
  for (const type of [MessageType.MsgReadIndex, MessageType.MsgReadIndexResp]) {
    let lost = 0;
    group.isLost = (message) => message.type === type && (lost += 1) <= 2;
    await second.driver.readIndex(FOR_EVER);
    assert.ok(lost >= 3);
  }
});

test('a leader that is cut off answers no read, and the others do', async () => {
  const [group, ...members] = await three();
  await using _ = group;
  const old = await group.leader();
  const others = members.filter((member) => member !== old);
  const [cut] = [...group.members].find(([, member]) => member === old) ?? assert.fail();
  group.isLost = ({ from, to }) => from === cut || to === cut;
  // It believes to lead for a while yet, and would answer from a state that is not the newest.
  const late = AbortSignal.timeout(700);
  await assert.rejects(old.driver.readIndex(late), { name: 'TimeoutError' });
  await Promise.all(others.map(({ driver }) => driver.readIndex(FOR_EVER)));
  const waiting = old.driver.readIndex(FOR_EVER);
  await group.until(() => others.some(leads));
  await others.find(leads)?.store.update((tx) => tx.configs.create(config('new')));
  group.isLost = () => false;
  await waiting;
  await old.driver.readIndex(FOR_EVER);
  assert.ok(has(old, 'new')());
});

test('reads end with their caller, and with the member', async () => {
  const [group, , second] = await three();
  await using _ = group;
  group.isLost = () => true;
  const gone = new AbortController();
  const read = second.driver.readIndex(gone.signal);
  gone.abort(new Error('the caller is gone'));
  await assert.rejects(read, /the caller is gone/);
  await assert.rejects(second.driver.readIndex(gone.signal), /the caller is gone/);
  const left = second.driver.readIndex(FOR_EVER);
  await Promise.all([assert.rejects(left, { name: 'ReadsEnded' }), group.stop(2n)]);
  await assert.rejects(second.driver.readIndex(FOR_EVER), { name: 'ReadsEnded' });
});

test('a leader that is told to be gone is replaced at once, and one that lives goes on', async () => {
  // Nobody would stand for election by himself.
  const [group, first, second, third] = await three(1_000_000);
  await using _ = group;
  for (const { driver } of [second, third]) driver.reportGone(1n);
  await Promise.all([second, third].map(({ driver }) => driver.readIndex(FOR_EVER)));
  assert.ok(first.driver.leading, 'it speaks sooner than the others stand');
  await group.stop(1n);
  for (const { driver } of [second, third]) driver.reportGone(1n);
  await group.write('after');
  await Promise.all([second, third].map(({ driver }) => driver.readIndex(FOR_EVER)));
  assert.ok(has(second, 'after')() && has(third, 'after')());
});

test('a leader that hands over in vain leads anew, and its writes in between fail as lost ones do', async () => {
  const [group, ...members] = await three();
  await using _ = group;
  const old = await group.leader();
  const [to] =
    [...group.members].find(([, member]) => members.includes(member) && member !== old) ?? [];
  // The successor is never told.
  group.isLost = ({ type }) => type === MessageType.MsgTimeoutNow;
  const before = old.store.update((tx) => tx.configs.create(config('before')));
  old.driver.transferLeadership(to ?? 0n);
  assert.ok(!old.driver.leading && old.driver.isLeader);
  await assert.rejects(before, { code: 'LEADERSHIP_LOST' });
  const between = old.store.update((tx) => tx.configs.create(config('between')));
  await assert.rejects(between, { code: 'NOT_LEADER' });
  await group.until(() => old.driver.leading);
  await group.write('after');
  await group.until(() => members.every((member) => has(member, 'after')()));
  assert.ok(!has(old, 'between')());
  group.isLost = () => false;
  old.driver.transferLeadership(to ?? 0n);
  await group.until(() => group.members.get(to ?? 0n)?.driver.leading === true);
  assert.ok(!old.driver.isLeader);
});

/** Holds back every write until it is let go. */
class SlowLog extends LmdbLog {
  go: (() => void) | undefined;

  override async save(...saved: Parameters<LmdbLog['save']>): Promise<void> {
    await new Promise<void>((resolve) => {
      this.go = resolve;
    });
    await super.save(...saved);
  }
}

test('a snapshot that comes while another is taken brings its members only after that one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-raft-'));
  await using log = new SlowLog(directory, KEY);
  await log.saveMember(memberOf(2n), [memberOf(1n)]);
  const restored: (readonly [index: number, voters: readonly bigint[]])[] = [];
  const driver: RaftDriver = new RaftDriver({
    log,
    machine: {
      committed: () => undefined,
      abort: () => undefined,
      snapshot: () => assert.fail('no snapshot is due'),
      restore: (index) => {
        restored.push([index, driver.status()?.voters ?? []]);
      },
    },
    randBelow: realEnv.randBelow,
    logger: silentLog,
    snapshotEvery: () => ({ interval: 0, keep: 0 }),
    send: () => undefined,
    onLeadership: () => undefined,
    onFatal: (error) => assert.fail(String(error)),
  });
  await driver.start();
  const take = (index: number, voters: readonly bigint[]): void => {
    const members = voters.map(memberOf);
    const data = snapshotHeader({ members, removed: [] }, 0);
    const metadata = { index, term: 5, confState: toConfState(voters) };
    const fields = { type: MessageType.MsgSnap, from: 1n, to: 2n, term: 5 };
    driver.receive(Message.create({ ...fields, snapshot: { data, metadata } }));
  };
  const save = async (): Promise<void> => {
    while (log.go === undefined) await new Promise<void>((resolve) => void setImmediate(resolve));
    log.go();
    log.go = undefined;
  };
  take(10, [1n, 2n]);
  while (log.go === undefined) await new Promise<void>((resolve) => void setImmediate(resolve));
  take(20, [1n, 2n, 3n]);
  await save();
  await save();
  while (restored.length < 2) await new Promise<void>((resolve) => void setImmediate(resolve));
  assert.deepEqual(restored, [
    [10, [1n, 2n]],
    [20, [1n, 2n, 3n]],
  ]);
  assert.equal(driver.members().length, 3);
  await driver.stop();
  await rm(directory, { recursive: true });
});
