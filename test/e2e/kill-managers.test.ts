/**
 * Kill -9 of managers in the middle of what must survive it: while one joins, takes a snapshot, compacts
 * its log, replaces the key of its log. Each comes back, holds what the others hold, and counts for the majority.
 *
 * `SKEIN_ROUNDS` makes it longer; `SKEIN_SEED` gives a run its moments back, as far as they are chosen.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyFiles } from '../../src/main/ca/key-files.ts';
import { dataKeysOf } from '../../src/main/node/data-key.ts';
import { RpcError } from '../../src/main/rpc/errors.ts';
import { Random } from '../../src/shared/kit/random.ts';
import { NodeStatusState } from '../../src/shared/wire/gen/types.ts';
import { History } from '../chaos/history.ts';
import { Load } from '../chaos/load.ts';
import { Probes } from '../chaos/probes.ts';
import { judge } from '../chaos/verdict.ts';
import { type ManagerProcess, Managers } from '../support/managers.ts';
import { holdTheSame } from '../support/same-data.ts';
import { Undo } from '../support/undo.ts';

const ROUNDS = Number(process.env['SKEIN_ROUNDS'] ?? 3);
/** What an event that is waited for may take to come. */
const PATIENCE_MS = 60_000;
/** The same for one that need not come. */
const SHORT_MS = 10_000;

/** Short ways to snapshots and compactions. */
const RAFT = {
  snapshotInterval: 20,
  logEntriesForSlowFollowers: 5,
  heartbeatTick: 1,
  electionTick: 10,
} as const;

/** When to kill: at any time up to `withinMs` after the manager says something, or at once. */
type Moment = { readonly says: string | undefined; readonly withinMs: number };

function seeded(t: TestContext): Random {
  const seed = BigInt(process.env['SKEIN_SEED'] ?? Date.now());
  t.diagnostic(`SKEIN_SEED=${seed}`);
  return new Random(seed);
}

class Trial {
  readonly managers: Managers;
  readonly random: Random;
  readonly #history = new History();
  readonly #probes = new Probes(this.#history);

  constructor(undo: Undo, random: Random) {
    this.managers = new Managers(undo, { flags: ['--log-level', 'debug'] });
    this.random = random;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.random.below(items.length)];
    assert.ok(item !== undefined);
    return item;
  }

  /** Kills at that moment. @returns whether it came */
  async killAt(
    { daemon }: ManagerProcess,
    { says, withinMs }: Moment,
    patienceMs = PATIENCE_MS,
  ): Promise<boolean> {
    const came = says === undefined || (await daemon.says(says, patienceMs));
    await sleep(this.random.below(withinMs + 1));
    await daemon.kill();
    return came;
  }

  /** Lets clients write and read while something happens. */
  async underLoad<T>(work: () => Promise<T>): Promise<T> {
    const load = new Load(this.managers.all, this.#history, this.random);
    try {
      return await work();
    } finally {
      await load.stop();
    }
  }

  /** Starts whoever does not run; resolves when all accept writes and hold the same. */
  async recovers(): Promise<void> {
    const { all } = this.managers;
    for (const { daemon } of all) if (!daemon.isRunning) daemon.start();
    await this.#probes.allAccept(all);
    await holdTheSame(this.managers, all);
  }

  /** Without some other manager, writes need this one. */
  async counts(manager: ManagerProcess): Promise<void> {
    const others = this.managers.all.filter((other) => other !== manager);
    const minority = Math.floor((this.managers.all.length - 1) / 2);
    const dead = others.toSorted(() => this.random.below(3) - 1).slice(0, minority);
    for (const { daemon } of dead) await daemon.kill();
    await this.#probes.allAccept(others.filter((other) => !dead.includes(other)));
    await this.#probes.allAccept([manager]);
    await this.recovers();
  }

  async writes(count: number, through: ManagerProcess): Promise<void> {
    for (let i = 0; i < count; i += 1) await this.#probes.allAccept([through]);
  }

  /** Nothing that clients were told may be untrue. */
  async isRight(t: TestContext): Promise<void> {
    const { operations, cells, wrong } = await judge(this.#history, this.managers);
    assert.deepEqual(wrong, []);
    t.diagnostic(`${operations} operations judged, ${cells} cells at the end`);
  }
}

/** Large configs, so that a snapshot has many pieces. */
async function fill({ control }: ManagerProcess, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const data = Buffer.alloc(400_000, `large ${i};`);
    await control.CreateConfig({ spec: { annotations: { name: `large-${i}` }, data } });
  }
}

test('a manager killed while it makes a snapshot or compacts its log comes back', async (t) => {
  using undo = new Undo();
  const trial = new Trial(undo, seeded(t));
  const { managers } = trial;
  await managers.start(3, { raft: RAFT });
  await fill(managers.anyRunning(), 5);
  let [struck, victim] = [0, managers.anyRunning()];
  for (let round = 0; round < ROUNDS; round += 1) {
    victim = round % 2 === 0 ? await managers.leader() : trial.pick(managers.all);
    const says = trial.pick(['makes a snapshot', 'compacts the log']);
    await trial.underLoad(async () => {
      if (await trial.killAt(victim, { says, withinMs: 30 })) struck += 1;
      await sleep(trial.random.below(500));
      victim.daemon.start();
    });
    await trial.recovers();
  }
  t.diagnostic(`${struck} of ${ROUNDS} kills struck a snapshot or a compaction`);
  assert.equal(struck, ROUNDS);
  await trial.counts(victim);
  await trial.isRight(t);
});

test('a manager killed while it takes a snapshot of its leader comes back', async (t) => {
  using undo = new Undo();
  const trial = new Trial(undo, seeded(t));
  const { managers } = trial;
  await managers.start(3, { raft: RAFT });
  await fill(managers.anyRunning(), 25);
  let struck = 0;
  let victim = managers.anyRunning();
  for (let round = 0; round < ROUNDS; round += 1) {
    const leader = await managers.leader();
    victim = trial.pick(managers.all.filter((manager) => manager !== leader));
    await victim.daemon.kill();
    // More than the others keep of their logs.
    await trial.writes(RAFT.snapshotInterval + 2 * RAFT.logEntriesForSlowFollowers, leader);
    victim.daemon.start();
    // On its way here, or while it is stored, or as soon as it is.
    const moment = trial.pick<Moment>([
      { says: 'a member is reached', withinMs: 200 },
      { says: "takes a leader's snapshot", withinMs: 80 },
      { says: "has a leader's snapshot", withinMs: 5 },
    ]);
    if (await trial.killAt(victim, moment)) struck += 1;
    await trial.recovers();
  }
  t.diagnostic(`${struck} of ${ROUNDS} kills struck at their moment`);
  assert.equal(struck, ROUNDS);
  await trial.counts(victim);
  await trial.isRight(t);
});

test('a manager killed while it joins, or while another does, is a member in the end', async (t) => {
  using undo = new Undo();
  const random = seeded(t);
  const clusters = Math.max(1, Math.floor(ROUNDS / 2));
  for (let cluster = 0; cluster < clusters; cluster += 1) {
    const trial = new Trial(undo, random);
    const { managers } = trial;
    await managers.start(1, { raft: RAFT });
    await fill(managers.anyRunning(), 3);
    for (const count of [2, 3]) {
      const before = managers.anyRunning();
      const joiner = await managers.prepare();
      joiner.daemon.start();
      const moment = trial.pick<Moment>([
        { says: undefined, withinMs: 1500 },
        { says: 'asks to be let in', withinMs: 30 },
        { says: 'was let in', withinMs: 10 },
      ]);
      const killed = trial.killAt(joiner, moment, SHORT_MS);
      if (trial.random.below(3) === 0) await trial.killAt(before, moment, SHORT_MS);
      await killed;
      await trial.recovers();
      await managers.nodeIs(joiner.name, NodeStatusState.READY);
      assert.equal((await managers.members()).length, count);
      await trial.counts(joiner);
    }
    await trial.isRight(t);
    for (const { daemon } of managers.all) await daemon.kill();
  }
});

/** Whether a manager has one key for its log, and none that comes or goes. */
async function hasOneKey({ stateDir }: ManagerProcess): Promise<boolean> {
  const stored = await new KeyFiles(join(stateDir, 'certificates')).load();
  return dataKeysOf(stored?.headers ?? {})?.needsRotation === false;
}

test('a manager killed while it replaces the key of its log goes on with it', async (t) => {
  using undo = new Undo();
  const trial = new Trial(undo, seeded(t));
  const { managers } = trial;
  await managers.start(3, { raft: RAFT });
  await fill(managers.anyRunning(), 10);
  let victim = managers.anyRunning();
  let cutShort = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    victim = trial.pick(managers.all);
    await trial.underLoad(async () => {
      const moment = trial.pick<Moment>([
        { says: undefined, withinMs: 300 },
        { says: 'seals the raft log with a new key', withinMs: 200 },
      ]);
      const killed = trial.killAt(victim, moment, SHORT_MS);
      await Promise.all([killed, victim.operations.RotateDataKey({}).catch(toRpcError)]);
      if (!(await hasOneKey(victim))) cutShort += 1;
      victim.daemon.start();
    });
    await trial.recovers();
    await managers.until('the rotation is over', () => hasOneKey(victim));
  }
  t.diagnostic(`${cutShort} of ${ROUNDS} rotations were cut short`);
  await trial.counts(victim);
  await trial.isRight(t);
  // And once more, to its end.
  await victim.operations.RotateDataKey({});
  await victim.daemon.kill();
  await trial.recovers();
});

/** A call of a process that is killed fails, and in no other way. */
function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  throw error;
}
