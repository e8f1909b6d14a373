/** A manager with its crowd of workers: brings tasks up, measures, and takes them away again. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Crowd } from '../crowd/crowd.ts';
import { clockMs } from '../crowd/messages.ts';
import type { FloorManager } from './floor-manager.ts';
import { untilAtRest } from './process-stat.ts';
import type { Subject } from './subject.ts';

const TIMEOUT_MS = 900_000;
const ASK_PERIOD_MS = 10;

export type Result = {
  /** Until the manager's own store has all tasks RUNNING. */
  readonly wallMs: number;
  /** Until the manager has acknowledged the last report. */
  readonly reportedMs: number;
  readonly restMs: number;
  /** Of the manager, until it was at rest. */
  readonly cpuSeconds: number;
  readonly crowdCpuSeconds: number;
};

export type Arena = { readonly name: string; readonly run: (tasks: number) => Promise<Result> };

/**
 * Asks a manager until it says yes. One that takes long to answer has as long a pause: the time is known
 * to two answers, and questions take half of one core at most.
 */
async function untilIt(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadlineMs = clockMs() + TIMEOUT_MS;
  for (;;) {
    const askedMs = clockMs();
    if (await ask()) return;
    const nowMs = clockMs();
    assert(nowMs < deadlineMs, `not in time: ${what}`);
    await sleep(Math.max(ASK_PERIOD_MS, nowMs - askedMs));
  }
}

let names = 0;

export function arenaOf(subject: Subject, crowd: Crowd): Arena {
  const { name, stat } = subject;
  const run = async (count: number): Promise<Result> => {
    await untilAtRest(stat);
    const cpu = stat.cpuSeconds();
    const crowdCpu = crowd.cpuSeconds();
    const startMs = await crowd.reset();
    const id = await subject.create({ name: `bench-${(names += 1)}`, replicas: count });
    const reportedAtMs = await crowd.until('all report RUNNING', TIMEOUT_MS, ({ running }) => {
      return running >= count;
    });
    await untilIt('all run', async () => (await subject.running()) === count);
    const wallMs = clockMs() - startMs;
    const crowdCpuSeconds = crowd.cpuSeconds() - crowdCpu;
    assert.equal(crowd.counts.held, count);
    const rest = await untilAtRest(stat);
    assert.equal(await subject.running(), count);
    await subject.remove(id);
    await crowd.until('all are gone', TIMEOUT_MS, ({ held }) => held === 0);
    await untilIt('none is stored', async () => (await subject.stored()) === 0);
    return {
      wallMs,
      reportedMs: reportedAtMs - startMs,
      restMs: rest.atMs - startMs,
      cpuSeconds: rest.cpuSeconds - cpu,
      crowdCpuSeconds,
    };
  };
  return { name, run };
}

/** The empty manager has no store: its tasks run when it has acknowledged the last report. */
export function floorArena(floor: FloorManager, crowd: Crowd): Arena {
  const { name, stat } = floor;
  const run = async (count: number): Promise<Result> => {
    await untilAtRest(stat);
    const cpu = stat.cpuSeconds();
    const crowdCpu = crowd.cpuSeconds();
    const heldBefore = crowd.counts.held;
    const startMs = await crowd.reset();
    floor.assign(count);
    const doneAtMs = await crowd.until('all report RUNNING', TIMEOUT_MS, ({ running }) => {
      return running >= count;
    });
    const crowdCpuSeconds = crowd.cpuSeconds() - crowdCpu;
    assert.equal(crowd.counts.held, heldBefore + count);
    const rest = await untilAtRest(stat);
    const wallMs = doneAtMs - startMs;
    return {
      wallMs,
      reportedMs: wallMs,
      restMs: rest.atMs - startMs,
      cpuSeconds: rest.cpuSeconds - cpu,
      crowdCpuSeconds,
    };
  };
  return { name, run };
}
