/**
 * The main side of placement: tells the thread what commits, and writes what it decides.
 *
 * Nothing waits on purpose. Each commit marks what changed; at the end of the turn of the event loop
 * one flush tells the thread, which decides at once. A decision is checked against the head before
 * it is written: the task must still wait and be wanted, its service must exist, and the node must
 * be READY and ACTIVE. What fails is undone by the thread and decided again, after the commit that
 * made it fail.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Env } from '../../shared/kit/env.ts';
import type { Lane } from '../../shared/lanes/lane.ts';
import type {
  Explanation,
  FromPlacement,
  GenericClaim,
  ToPlacement,
} from '../../shared/lanes/placement.ts';
import { timestampOf } from '../../shared/model/time.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { BITE_MS } from '../kit/bites.ts';
import type { Log } from '../log.ts';
import type { Change, Commit, Store, TaskPatch, Transaction } from '../store/transaction.ts';
import type { View } from '../store/view.ts';
import { Engine } from './engine.ts';
import { workerEntry } from './entry.ts';
import { PlacementBook, type Proposal } from './placement-book.ts';
import { genericResources, isAvailable } from './placement-facts.ts';
import { isObsolete } from './placement-meaning.ts';
import { PlacementVerdicts } from './placement-verdicts.ts';

export type PlacementPoolOptions = { readonly store: Store; readonly env: Env; readonly log: Log };

/** Places in the store that are looked at between two looks at the clock. */
const READ_PLACES = 256;
/** Nodes, and tasks, told in one turn of the event loop. */
const FLUSH_MAX = 1_000;
/** Decisions with the store from which on no more are taken from the thread. */
const PROPOSED_MAX = 50_000;

/** What the thread gets to finish when nothing that it answers is wanted any more. */
const STOP_DEADLINE_MS = 250;

/** What is written with a decision: where a node was chosen, and where it was given. */
const CHOSEN = 'scheduler assigned task to node';
const CONFIRMED = 'scheduler confirmed task can run on preassigned node';

const NO_CLAIMS: readonly GenericClaim[] = [];

export class PlacementPool {
  readonly #options: PlacementPoolOptions;
  readonly #book = new PlacementBook();
  readonly #verdicts = new PlacementVerdicts();
  readonly #engine: Engine<ToPlacement, FromPlacement>;
  /** Ids of tasks that wait for a node and are to wait no more. */
  #obsolete: string[] = [];
  /** Decisions that were refused, to be tried again after the next commit. */
  #refused: Proposal[] = [];
  /** Whether what the store held at the start has not been read yet. */
  #isReading = true;
  /** Whether the thread has not yet been told all that the store holds. */
  #isRestoring = true;
  #isStopped = false;
  #scheduled: NodeJS.Immediate | undefined;
  #unwatch: () => void = () => undefined;
  readonly #writes = new Set<Promise<void>>();

  constructor(options: PlacementPoolOptions) {
    this.#options = options;
    this.#engine = new Engine<ToPlacement, FromPlacement>({
      name: 'placement',
      entry: workerEntry('placement'),
      threads: 1,
      log: options.log,
      onStart: () => this.#resync(),
      onMessages: (messages) => this.#hear(messages),
    });
  }

  /** Reads the store, follows it from here on, and starts the thread. */
  async start(): Promise<void> {
    const { store } = this.#options;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
    store.view((view) => {
      for (const node of view.nodes.all()) this.#book.nodes.changed(node.id);
    });
    // A thread takes its time to start.
    await Promise.all([this.#engine.start(), this.#readAll()]);
  }

  /** Decides no more; resolves when what was decided before is written. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unwatch();
    clearImmediate(this.#scheduled);
    await this.#engine.stop(STOP_DEADLINE_MS);
    await Promise.allSettled(this.#writes);
  }

  /** Terminates the thread as it stands, as a crash would: for tests. */
  async kill(): Promise<void> {
    await this.#engine.kill(0);
  }

  /** Counters of the thread's lane, and how many tasks placement has to do with. */
  stats(): ReturnType<Engine<ToPlacement, FromPlacement>['stats']>[number] & { tasks: number } {
    const [seat] = this.#engine.stats();
    if (seat === undefined) throw new Error('placement has one thread');
    return { ...seat, tasks: this.#book.size };
  }

  /** In short turns; what commits meanwhile is noted as ever. */
  async #readAll(): Promise<void> {
    const { store } = this.#options;
    let untilMs = performance.now() + BITE_MS;
    const end = store.view((view) => view.tasks.placesEnd);
    for (let place = 0; place < end; place += READ_PLACES) {
      if (this.#isStopped) return;
      store.view((view) => this.#read(view, place));
      if (performance.now() < untilMs) continue;
      await nextTurn();
      untilMs = performance.now() + BITE_MS;
    }
    this.#isReading = false;
    this.#schedule();
  }

  #read(view: View, from: number): void {
    for (const row of view.tasks.byPlace(from, from + READ_PLACES)) {
      if (row.state < TaskState.PENDING || row.state > TaskState.RUNNING) continue;
      this.#book.task(row);
      if (isObsolete(row)) this.#obsolete.push(row.id);
    }
  }

  #onCommit(commit: Commit): void {
    for (const change of commit.changes) this.#note(change);
    for (const proposal of this.#refused) this.#book.refused(proposal, false);
    this.#refused = [];
    this.#schedule();
  }

  #note(change: Change): void {
    switch (change.kind) {
      case 'task':
        if (change.action === 'remove') return this.#book.taskGone(change.object);
        if (isObsolete(change.object)) this.#obsolete.push(change.object.id);
        return this.#book.task(change.object);
      case 'node':
        return this.#book.nodes.changed(change.object.id);
      case 'service':
        return this.#book.shapes.serviceChanged(change.object.id);
      case 'network':
      case 'cluster':
      case 'secret':
      case 'config':
      case 'resource':
      case 'extension':
      case 'volume':
        return;
    }
  }

  /** A thread has its place and knows nothing. */
  #resync(): void {
    this.#isRestoring = true;
    this.#book.forgetTold();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#scheduled ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = undefined;
    if (this.#isStopped) return;
    this.#endObsolete();
    const lane = this.#engine.lane(0);
    if (lane === undefined) return;
    if (lane.full) {
      void lane.ready().then(() => this.#schedule());
      return;
    }
    this.#tell(lane);
    if (this.#book.pending > 0) this.#schedule();
  }

  #tell(lane: Lane<ToPlacement, FromPlacement>): void {
    const { store, env } = this.#options;
    // A fresh thread decides only when it knows everything, former decisions included.
    const isBehind = this.#isReading || this.#book.proposed > 0 || this.#book.pending > FLUSH_MAX;
    if (this.#isRestoring && !isBehind) this.#isRestoring = false;
    const decide = !this.#isRestoring;
    const how = { nowMs: env.nowMs(), limit: FLUSH_MAX, decide };
    store.view((view) => this.#book.flush(view, how, (message) => void lane.send(message)));
  }

  #hear(messages: readonly FromPlacement[]): void | Promise<void> {
    if (this.#isStopped) return;
    const decisions: Proposal[] = [];
    const explanations: Explanation[] = [];
    for (const message of messages) {
      switch (message.t) {
        case 'placed':
          this.#collect(message, decisions);
          break;
        case 'waiting':
          explanations.push(...message.explanations);
          break;
        case 'turned':
          this.#book.turned(message.turn);
          break;
      }
    }
    if (decisions.length > 0) this.#propose(decisions);
    if (explanations.length > 0) this.#explain(explanations);
    if (this.#book.proposed > PROPOSED_MAX) return this.#settled();
  }

  async #settled(): Promise<void> {
    await Promise.allSettled(this.#writes);
  }

  #collect(placed: Extract<FromPlacement, { t: 'placed' }>, decisions: Proposal[]): void {
    const { tasks, nodes } = placed;
    const claimsOf = new Map(placed.claims.map((held) => [held.task, held.claims]));
    for (let i = 0; i < tasks.length; i++) {
      const task = tasks[i] ?? -1;
      const claims = claimsOf.size === 0 ? NO_CLAIMS : (claimsOf.get(task) ?? NO_CLAIMS);
      const decision = this.#book.decided(task, nodes[i] ?? -1, claims);
      if (decision !== undefined) decisions.push(decision);
    }
  }

  #propose(decisions: readonly Proposal[]): void {
    const { store, env } = this.#options;
    const timestamp = timestampOf(env.nowMs());
    const state = TaskState.ASSIGNED;
    const chosen = TaskStatus.create({ state, timestamp, message: CHOSEN });
    const confirmed = TaskStatus.create({ state, timestamp, message: CONFIRMED });
    const written = store.batch(decisions, (tx, decision) => {
      const answer = this.#check(tx, decision);
      if (answer === 'over') return this.#book.refused(decision, true);
      if (answer === 'later') return this.#later(decision);
      const status = answer === 'confirmed' ? confirmed : chosen;
      tx.tasks.patch(decision.taskId, assignment(decision, status), decision.place);
    });
    // Tried again after a commit only: a store that takes nothing must not keep the thread busy.
    this.#track(written, () => {
      for (const decision of decisions) this.#refused.push(decision);
    });
  }

  /** What the head says to a decision. */
  #check(tx: Transaction, decision: Proposal): 'chosen' | 'confirmed' | 'over' | 'later' {
    const { taskId, place, node, nodeId } = decision;
    const row = tx.tasks.get(taskId, place);
    if (row === undefined || row.state !== TaskState.PENDING || isObsolete(row)) return 'over';
    if (row.nodeId !== '' && row.nodeId !== nodeId) return 'over';
    if (row.serviceId !== '' && tx.services.get(row.serviceId) === undefined) return 'over';
    if (!this.#verdicts.isAvailable(tx, node, nodeId)) return 'later';
    return row.nodeId === '' ? 'chosen' : 'confirmed';
  }

  /** Has a decision made again as soon as the thread knows, or will know, better. */
  #later(decision: Proposal): void {
    const known = this.#options.store.view((view) => view.nodes.get(decision.nodeId));
    if (known !== undefined && isAvailable(known)) this.#refused.push(decision);
    else this.#book.refused(decision, false);
  }

  #explain(explanations: readonly Explanation[]): void {
    const told = explanations.flatMap(({ tasks, text }) =>
      Array.from(tasks, (task) => ({ taskId: this.#book.waitingId(task) ?? '', text })),
    );
    const written = this.#options.store.batch(told, (tx, { taskId, text }) => {
      const row = tx.tasks.get(taskId);
      if (row === undefined || row.state !== TaskState.PENDING) return;
      if (isObsolete(row) || row.err === text) return;
      tx.tasks.patch(row.id, { err: text });
    });
    this.#track(written, () => undefined);
  }

  /** Ends tasks that never got a node and are not wanted any more: no agent will do it. */
  #endObsolete(): void {
    if (this.#obsolete.length === 0) return;
    const obsolete = this.#obsolete;
    this.#obsolete = [];
    const written = this.#options.store.batch(obsolete, (tx, id) => {
      const row = tx.tasks.get(id);
      if (row === undefined || !isObsolete(row)) return;
      tx.tasks.patch(id, { state: TaskState.SHUTDOWN, err: '' });
    });
    this.#track(written, () => undefined);
  }

  /** Follows a write to its end; `failed` hears that it did not commit. */
  #track(written: Promise<void>, failed: () => void): void {
    const tracked = written
      .catch((error: unknown) => {
        this.#options.log.warn({ error }, 'placement was not written');
        failed();
      })
      .finally(() => {
        this.#writes.delete(tracked);
        this.#schedule();
      });
    this.#writes.add(tracked);
  }
}

function assignment({ nodeId, claims }: Proposal, status: TaskStatus): TaskPatch {
  if (claims.length === 0) return { nodeId, status };
  return { nodeId, status, assignedGenericResources: genericResources(claims) };
}
