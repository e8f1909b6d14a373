import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { REAL_TURNS, type Turns } from '../kit/turns.ts';
import { silentLog } from '../log.ts';
import type { StateMachine } from './applied-state.ts';
import { RaftDriver } from './driver.ts';
import { foundLog } from './found-log.ts';
import { LmdbLog } from './log/lmdb-log.ts';

const MEMBER = RaftMember.create({ raftId: 0x7654_3210_fedc_ba98n, nodeId: 'n1', addr: 'h:1' });
const KEY = new Uint8Array(32).fill(7);

/** Keeps the texts it was given, in order. */
class Texts implements StateMachine {
  texts: string[] = [];
  aborts = 0;
  #heard: (() => void) | undefined;

  committed(_index: number, bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) this.texts.push(Buffer.from(bytes).toString());
    this.#heard?.();
  }

  abort(): void {
    this.aborts += 1;
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const now = this.texts.map((text) => Buffer.from(`${text}\n`));
    return (async function* pieces() {
      yield* now;
    })();
  }

  restore(_index: number, chunks: Iterable<Uint8Array>): void {
    this.texts = Buffer.concat([...chunks])
      .toString()
      .trimEnd()
      .split('\n');
  }

  async until(count: number): Promise<void> {
    while (this.texts.length < count) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }
}

type Running = { driver: RaftDriver; machine: Texts; log: LmdbLog } & AsyncDisposable;

/** Has no room for snapshots until it is told. */
class CrampedLog extends LmdbLog {
  isFull = true;
  refused = 0;

  override async saveSnapshot(...args: Parameters<LmdbLog['saveSnapshot']>): Promise<void> {
    if (!this.isFull) return super.saveSnapshot(...args);
    this.refused += 1;
    throw new Error('no space left');
  }
}

async function start(
  directory: string,
  interval = 0,
  turns: Turns = REAL_TURNS,
  log = new LmdbLog(directory, KEY),
): Promise<Running> {
  if (log.member() === undefined) await foundLog(log, MEMBER, []);
  const machine = new Texts();
  const { promise: leading, resolve: leads } = Promise.withResolvers<void>();
  const driver = new RaftDriver({
    log,
    machine,
    member: log.member() ?? MEMBER,
    randBelow: () => 0,
    logger: silentLog,
    turns,
    snapshotEvery: () => ({ interval, keep: 5 }),
    send: (messages) => assert.deepEqual(messages, []),
    onLeadership: (now) => now && leads(),
    onFatal: (error) => assert.fail(String(error)),
  });
  await driver.start();
  await leading;
  const dispose = async (): Promise<void> => {
    await driver.stop();
    await log[Symbol.asyncDispose]();
  };
  return { driver, machine, log, [Symbol.asyncDispose]: dispose };
}

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-driver-'));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const propose = (driver: RaftDriver, text: string): number =>
  driver.propose(Buffer.from(text)).index;

test('a sole member leads at once, commits in order, and finds everything again', async () => {
  await inDirectory(async (directory) => {
    {
      await using running = await start(directory);
      const { driver, machine } = running;
      assert.deepEqual(driver.members(), [MEMBER]);
      const first = propose(driver, 'a');
      assert.equal(propose(driver, 'b'), first + 1);
      assert.equal(driver.lastIndex, first + 1);
      await machine.until(2);
      assert.deepEqual(machine.texts, ['a', 'b']);
    }
    await using again = await start(directory);
    assert.deepEqual(again.machine.texts, ['a', 'b']);
    propose(again.driver, 'c');
    await again.machine.until(3);
    assert.deepEqual(again.machine.texts, ['a', 'b', 'c']);
  });
});

test('what comes just as a round of work ends is not left until the next tick', async () => {
  await inDirectory(async (directory) => {
    // Time stands still, and turns follow each other as closely as they can.
    const turns: Turns = {
      afterThis: queueMicrotask,
      soon: (run) => {
        queueMicrotask(run);
        return () => undefined;
      },
      every: () => () => undefined,
    };
    await using running = await start(directory, 0, turns);
    const { driver, machine } = running;
    for (let hops = 0; hops < 12; hops += 1) {
      propose(driver, 'a');
      await machine.until(2 * hops + 1);
      for (let hop = 0; hop < hops; hop += 1) await Promise.resolve();
      propose(driver, 'b');
      // A proposal that was left shows itself: without ticks nothing comes any more.
      const left = sleep(60_000, undefined, { ref: false }).then(() => assert.fail(`${hops} hops`));
      await Promise.race([machine.until(2 * hops + 2), left]);
    }
  });
});

test('snapshots are made on the way, the log before them goes, and a restart begins there', async () => {
  await inDirectory(async (directory) => {
    const texts = Array.from({ length: 100 }, (_, i) => `t${i}`);
    {
      await using running = await start(directory, 20);
      for (const [i, text] of texts.entries()) {
        propose(running.driver, text);
        await running.machine.until(i + 1);
      }
      await running.driver.stop();
      assert.ok(running.log.firstIndex() > 50, `log begins at ${running.log.firstIndex()}`);
    }
    await using again = await start(directory);
    assert.deepEqual(again.machine.texts, texts);
    assert.deepEqual(again.driver.members(), [MEMBER]);
  });
});

test('a snapshot that cannot be stored is tried again now and then, and hinders nothing', async () => {
  await inDirectory(async (directory) => {
    const log = new CrampedLog(directory, KEY);
    await using running = await start(directory, 10, REAL_TURNS, log);
    for (let i = 0; i < 100; i += 1) {
      propose(running.driver, `t${i}`);
      await running.machine.until(i + 1);
    }
    assert.ok(log.refused >= 5 && log.refused <= 11, `${log.refused} attempts`);
    log.isFull = false;
    for (let i = 0; log.snapshot()?.metadata.index === 0; i += 1) {
      propose(running.driver, `u${i}`);
      await running.machine.until(101 + i);
    }
  });
});

test('after stop a proposal is refused and what was in flight is given up', async () => {
  await inDirectory(async (directory) => {
    await using running = await start(directory);
    await running.driver.stop();
    assert.equal(running.machine.aborts, 1);
    assert.throws(() => propose(running.driver, 'x'), /node lost leader status/);
  });
});

test('[OPS4] a snapshot on request is of all that was applied, also while another is being made', async () => {
  await inDirectory(async (directory) => {
    await using running = await start(directory);
    const { driver, machine, log } = running;
    const content = (): string => {
      using snapshot = log.readSnapshot();
      assert.ok(snapshot);
      return Buffer.concat([...snapshot.chunks]).toString();
    };
    propose(driver, 'a');
    await machine.until(1);
    const first = driver.takeSnapshot();
    propose(driver, 'b');
    await machine.until(2);
    const both = [driver.takeSnapshot(), driver.takeSnapshot()];
    await first;
    await Promise.all(both);
    assert.equal(content(), 'a\nb\n');
    const index = log.snapshot()?.metadata.index;
    await driver.takeSnapshot();
    assert.equal(log.snapshot()?.metadata.index, index, 'nothing new needs no new one');
    propose(driver, 'c');
    await machine.until(3);
    await driver.takeSnapshot();
    assert.equal(content(), 'a\nb\nc\n');
  });
});
