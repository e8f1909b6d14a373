/**
 * Loaded before a real `skein manager`, this watches it from inside: what the store commits and when,
 * what goes into the log, and how long the main thread's turns are. It answers over the process's IPC
 * channel and changes nothing.
 */
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { PlacementBook } from '../../src/main/pools/placement-book.ts';
import { LmdbLog } from '../../src/main/raft/log/lmdb-log.ts';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import type { Change, Commit } from '../../src/main/store/transaction.ts';
import { NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { ProbeReading, Spread, TaskCounts, ToProbe } from './probe-messages.ts';
import { type Turn, Turns } from './turns.ts';

/** Times, each with how many tasks it was the time of. */
class Times {
  readonly #byMs = new Map<number, number>();
  #count = 0;

  add(ms: number): void {
    const whole = Math.max(0, Math.round(ms));
    this.#count += 1;
    this.#byMs.set(whole, (this.#byMs.get(whole) ?? 0) + 1);
  }

  clear(): void {
    this.#byMs.clear();
    this.#count = 0;
  }

  spread(): Spread {
    const sorted = [...this.#byMs].toSorted(([a], [b]) => a - b);
    const at = (share: number): number => {
      let left = Math.max(1, Math.ceil(share * this.#count));
      for (const [ms, count] of sorted) if ((left -= count) <= 0) return ms;
      return 0;
    };
    const count = this.#count;
    return { count, firstMs: at(0), p50Ms: at(0.5), p99Ms: at(0.99), lastMs: at(1) };
  }
}

class Probe {
  #store: ReplicatedStore | undefined;
  readonly #turns = new Turns();
  readonly #created = new Times();
  readonly #decided = new Times();
  readonly #assigned = new Times();
  readonly #running = new Times();
  readonly #assignedAfter = new Times();
  readonly #runningAfter = new Times();
  #log = { entries: 0, bytes: 0, writes: 0 };
  #sinceMs = Date.now();
  #sinceService = false;
  #runningNow = 0;
  /** The longest turns until the last reading: what comes later is the end of the manager. */
  longestTurns: readonly Turn[] = [];

  watchTurns(): void {
    this.#turns.watch();
  }

  /** What is there already, of a manager that was started again, counts as it stands. */
  watch(store: ReplicatedStore): void {
    this.#store = store;
    store.view((view) => {
      for (const { state } of view.tasks.all())
        if (state === TaskState.RUNNING) this.#runningNow += 1;
    });
  }

  saved(entries: readonly { readonly data?: Uint8Array | undefined }[]): void {
    this.#log.writes += 1;
    this.#log.entries += entries.length;
    for (const { data } of entries) this.#log.bytes += data?.length ?? 0;
  }

  commit(commit: Commit): void {
    const nowMs = Date.now();
    for (const change of commit.changes) if (change.kind === 'task') this.#task(change, nowMs);
  }

  #task(change: Extract<Change, { kind: 'task' }>, nowMs: number): void {
    const { state } = change.object;
    const before = change.action === 'update' ? change.old.state : TaskState.NEW;
    if (change.action === 'remove') {
      if (state === TaskState.RUNNING) this.#runningNow -= 1;
      return;
    }
    const ms = (): number => nowMs - this.#startMs(change.object.serviceId);
    const ageMs = (): number => nowMs - change.object.createdAtMs;
    if (change.action === 'create') this.#created.add(ms());
    if (before < TaskState.ASSIGNED && state >= TaskState.ASSIGNED) {
      this.#assigned.add(ms());
      this.#assignedAfter.add(ageMs());
    }
    if (before !== TaskState.RUNNING && state === TaskState.RUNNING) {
      this.#running.add(ms());
      this.#runningAfter.add(ageMs());
      this.#runningNow += 1;
    }
    if (before === TaskState.RUNNING && state !== TaskState.RUNNING) this.#runningNow -= 1;
  }

  decided(taskId: string): void {
    const task = this.#sinceService
      ? this.#store?.view((view) => view.tasks.get(taskId))
      : undefined;
    this.#decided.add(Date.now() - this.#startMs(task?.serviceId ?? ''));
  }

  #readyNodes(): number {
    let ready = 0;
    this.#store?.view((view) => {
      for (const { status } of view.nodes.all())
        if (status.state === NodeStatusState.READY) ready += 1;
    });
    return ready;
  }

  #startMs(serviceId: string): number {
    if (!this.#sinceService) return this.#sinceMs;
    const service = this.#store?.view((view) => view.services.get(serviceId));
    const at = service?.meta.createdAt;
    return at === undefined ? this.#sinceMs : at.seconds * 1000 + at.nanos / 1e6;
  }

  reset(since: 'now' | 'service'): void {
    this.#sinceMs = Date.now();
    this.#sinceService = since === 'service';
    for (const times of this.#all) times.clear();
    this.#log = { entries: 0, bytes: 0, writes: 0 };
    this.#turns.reset();
  }

  get #all(): readonly Times[] {
    const placed = [this.#decided, this.#assigned, this.#assignedAfter];
    return [this.#created, ...placed, this.#running, this.#runningAfter];
  }

  counts(): TaskCounts {
    const stored = this.#store?.view((view) => view.tasks.size) ?? 0;
    return { running: this.#runningNow, stored };
  }

  read(): ProbeReading {
    const { rss, heapUsed, external } = process.memoryUsage();
    const usage = this.#store?.taskUsage;
    const tasks = this.counts();
    this.longestTurns = this.#turns.longest;
    return {
      readyNodes: this.#readyNodes(),
      tasks,
      created: this.#created.spread(),
      decided: this.#decided.spread(),
      assigned: this.#assigned.spread(),
      running: this.#running.spread(),
      assignedAfter: this.#assignedAfter.spread(),
      runningAfter: this.#runningAfter.spread(),
      log: this.#log,
      mainThread: this.#turns.read(),
      memory: { rssBytes: rss, heapBytes: heapUsed + external },
      storeBytesPerTask: (usage?.allocatedBytes ?? 0) / Math.max(1, tasks.stored),
    };
  }
}

/** Puts another function in the place of a method. */
function replace<K extends string, F>(
  prototype: Record<K, F>,
  method: K,
  by: (original: F) => F,
): void {
  Object.defineProperty(prototype, method, { value: by(prototype[method]) });
}

function install(): void {
  const probe = new Probe();
  if (process.env['SKEIN_BENCH_WATCH_TURNS'] !== 'no') probe.watchTurns();
  const watched = new WeakSet<ReplicatedStore>();
  // Whoever first watches the store brings it here.
  type Watch = ReplicatedStore['watch'];
  const watchToo = (original: Watch): Watch =>
    function watch(this: ReplicatedStore, listener): () => void {
      if (!watched.has(this)) {
        watched.add(this);
        original.call(this, (commit) => probe.commit(commit));
        probe.watch(this);
      }
      return original.call(this, listener);
    };
  replace(ReplicatedStore.prototype, 'watch', watchToo);
  type Save = LmdbLog['save'];
  const saveToo = (original: Save): Save =>
    function save(this: LmdbLog, ready, received): Promise<void> {
      probe.saved(ready.entries);
      return original.call(this, ready, received);
    };
  replace(LmdbLog.prototype, 'save', saveToo);
  type Decided = PlacementBook['decided'];
  const decidedToo = (original: Decided): Decided =>
    function decided(this: PlacementBook, number, node, claims): ReturnType<Decided> {
      const proposal = original.call(this, number, node, claims);
      if (proposal !== undefined) probe.decided(proposal.taskId);
      return proposal;
    };
  replace(PlacementBook.prototype, 'decided', decidedToo);
  process.on('message', (message: ToProbe) => {
    if (message.t === 'reset') probe.reset(message.since);
    process.send?.(message.t === 'read' ? probe.read() : probe.counts());
  });
  process.channel?.unref();
  const file = process.env['SKEIN_BENCH_TURNS'];
  if (file === undefined) return;
  process.on('exit', () => writeFileSync(file, JSON.stringify(probe.longestTurns)));
}

if (isMainThread) install();
