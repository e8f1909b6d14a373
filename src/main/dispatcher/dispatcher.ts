/**
 * The Dispatcher service of the leader: sessions and heartbeats of the nodes, the tasks they are
 * assigned, and what they report (behaviour chapter 5).
 *
 * It writes a node's state only when that changes; a heartbeat touches nothing but memory.
 */
import { isIP } from 'node:net';
import { durationMs, durationOf } from '../../shared/model/time.ts';
import type { Env } from '../../shared/kit/env.ts';
import type {
  AssignmentsMessage,
  AssignmentsRequest,
  HeartbeatRequest,
  HeartbeatResponse,
  SessionMessage,
  SessionRequest,
  TasksMessage,
  TasksRequest,
  UpdateTaskStatusRequest,
  UpdateVolumeStatusRequest,
  UpdateVolumeStatusResponse,
} from '../../shared/wire/gen/dispatcher.ts';
import {
  NodeStatusState,
  TaskState,
  VolumePublishStatusState,
  type WeightedPeer,
} from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import type { Caller } from '../rpc/authorise.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { Encoded, implement, type Implementation, type Sink } from '../rpc/service.ts';
import type { Commit, Store } from '../store/transaction.ts';
import type { View } from '../store/view.ts';
import { assignmentsMessage } from './assignment-message.ts';
import { NodeAssignments } from './core/assignments.ts';
import { HeardTime } from './core/heard-time.ts';
import { DISPATCHER, Registry } from './core/registry.ts';
import { Mark } from '../kit/mark.ts';
import { NODE_MESSAGE, NodeStates } from './node-states.ts';
import { Pace } from './pace.ts';
import { sessionMessage } from './session-message.ts';
import { type Report, StatusWriter } from './status-writer.ts';
import { Streams, type AssignmentStream, type Stream } from './streams.ts';

/** How long changes for a node are gathered before they are sent, at least. SwarmKit waits 100 ms. */
const ASSIGNMENT_WINDOW_MS = 10;
/** Changed tasks in one message, so that a Docker Engine takes it. */
const CHANGES_PER_MESSAGE = 1000;
/** What a Docker Engine takes in one message; the workers of this project take any. */
const ENGINE_RECEIVES_BYTES = 4 << 20;
/** How often deadlines are looked at. */
const EXPIRY_PERIOD_MS = 250;

export type DispatcherOptions = {
  readonly store: Store;
  readonly env: Env;
  readonly log: Log;
  /** This manager's node. */
  readonly nodeId: string;
  /** Every manager, this one included; asked anew for each session message. */
  readonly managers: () => readonly WeightedPeer[];
  /** Whether somebody calls, or called lately, whom this manager has not begun to answer. */
  readonly callersWait: () => boolean;
  /** Milliseconds that never jump, as those of `env` may. */
  readonly monotonicMs: () => number;
};

/** The answer to a report, which has no fields. */
const ACKNOWLEDGED = new Encoded(Buffer.alloc(0));

const stopped = (): RpcError => new RpcError(Code.ABORTED, 'dispatcher is stopped');
const mustDisconnect = (): RpcError => new RpcError(Code.ABORTED, 'node must disconnect');
const notRegistered = (): RpcError => new RpcError(Code.NOT_FOUND, 'node not registered');
const sessionInvalid = (): RpcError => new RpcError(Code.INVALID_ARGUMENT, 'session invalid');

/** The address without its port: `10.0.0.1:5000`, `[::1]:5000`. */
function hostOf(address: string): string {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isIP(host) === 0 && isIP(address) !== 0 ? address : host;
}

export class Dispatcher {
  readonly implementation: Implementation;
  readonly #options: DispatcherOptions;
  #registry = new Registry();
  #heard = new HeardTime();
  #tickedMs = 0;
  readonly #streams = new Streams();
  readonly #pace = new Pace(ASSIGNMENT_WINDOW_MS);
  readonly #nodes: NodeStates;
  readonly #statuses: StatusWriter;
  #running = false;
  #stop: (() => void)[] = [];

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#nodes = new NodeStates(options.store);
    this.#statuses = new StatusWriter({
      store: options.store,
      nowMs: options.env.nowMs,
      nodeId: options.nodeId,
      onError: (error) => this.#warn(error, 'task statuses were not written'),
    });
    this.implementation = implement('Dispatcher', {
      Session: (request, caller, sink) => this.#session(request, caller, sink),
      Heartbeat: (request, caller) => this.#heartbeat(request, caller),
      UpdateTaskStatus: (request, caller) => this.#updateTaskStatus(request, caller),
      UpdateVolumeStatus: (request, caller) => this.#updateVolumeStatus(request, caller),
      Tasks: (request, caller, sink) => this.#tasks(request, caller, sink),
      Assignments: (request, caller, sink) => this.#assignments(request, caller, sink),
    });
  }

  /**
   * Begins to lead: every node is unknown until it registers. Resolves when that is committed;
   * rejects, stopped again, when leadership is lost before.
   */
  async start(): Promise<void> {
    const { store, env, monotonicMs } = this.#options;
    const nowMs = env.nowMs();
    // What an earlier leadership knew is old: nodes have come and gone since.
    this.#registry = new Registry();
    this.#heard = new HeardTime();
    this.#tickedMs = monotonicMs();
    const away = store.head((view) => {
      this.#readCluster(view);
      const nodes = [...view.nodes.all()];
      for (const node of nodes) {
        if (node.status.state === NodeStatusState.DOWN) this.#registry.down(node.id, nowMs);
        else this.#registry.expect(node.id, nowMs);
      }
      return nodes.filter((n) => n.status.state !== NodeStatusState.DOWN).map((n) => n.id);
    });
    this.#running = true;
    const expiry = setInterval(() => this.#expire(), EXPIRY_PERIOD_MS);
    this.#stop = [store.watch((commit) => this.#commit(commit)), () => clearInterval(expiry)];
    try {
      // A node may register while this is being written.
      await this.#nodes.set(away, NodeStatusState.UNKNOWN, NODE_MESSAGE.leaderChange, this.#isHere);
    } catch (error) {
      await this.stop(false);
      throw error;
    }
  }

  /**
   * Ends every stream. While this manager still leads, reports that were acknowledged are written and
   * nodes are marked as looking for a manager.
   */
  async stop(leading: boolean): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    for (const end of this.#stop.splice(0)) end();
    this.#streams.endAll(mustDisconnect());
    this.#nodes.flush();
    if (leading) {
      await this.#statuses.drain();
      const here = this.#registry.registered();
      await this.#nodes
        .set(here, NodeStatusState.DISCONNECTED, NODE_MESSAGE.leaving)
        .catch((error: unknown) => this.#warn(error, 'nodes were not marked as disconnected'));
    }
    this.#statuses.stop();
  }

  readonly #isHere = (node: { readonly id: string }): boolean =>
    this.#registry.isRegistered(node.id);

  /** Tells every node the managers again; called when they change. */
  managersChanged(): void {
    this.#streams.markSessions();
  }

  #warn(error: unknown, text: string): void {
    this.#options.log.warn({ error }, text);
  }

  #readCluster(view: View): void {
    const [cluster] = view.clusters.all();
    const periodMs = durationMs(cluster?.spec.dispatcher.heartbeatPeriod);
    this.#registry.setPeriod(periodMs > 0 ? periodMs : DISPATCHER.heartbeatPeriodMs);
  }

  #commit(commit: Commit): void {
    for (const nodeId of this.#streams.commit(commit)) {
      this.#registry.forget(nodeId);
      this.#streams.end(nodeId, notRegistered);
    }
    if (commit.changes.some((c) => c.kind === 'cluster')) {
      this.#options.store.view((view) => this.#readCluster(view));
    }
  }

  /** Now, as it counts against nodes. */
  #heardMs(): number {
    return this.#heard.at(this.#options.env.nowMs());
  }

  #expire(): void {
    const { callersWait, monotonicMs } = this.#options;
    const tickMs = monotonicMs();
    this.#heard.tick(tickMs - this.#tickedMs, callersWait());
    this.#tickedMs = tickMs;
    const { lost, missing, orphaned } = this.#registry.expire(this.#heardMs());
    for (const nodeId of lost) this.#streams.end(nodeId, notRegistered);
    const { DOWN } = NodeStatusState;
    const writes = [
      this.#nodes.set(lost, DOWN, NODE_MESSAGE.lost, this.#isHere),
      this.#nodes.set(missing, DOWN, NODE_MESSAGE.missing, this.#isHere),
      this.#nodes.orphan(orphaned),
    ];
    for (const write of writes)
      write.catch((error) => this.#warn(error, 'node states were not written'));
  }

  /** @throws what a caller without a valid session is told, or `whenStopped`. */
  #check(caller: Caller, sessionId: string, whenStopped = stopped): void {
    if (!this.#running) throw whenStopped();
    const verdict = this.#registry.check(caller.nodeId, sessionId);
    if (verdict === 'not-registered') throw notRegistered();
    if (verdict === 'session-invalid') throw sessionInvalid();
  }

  /**
   * Opens a session and gives its id; resolves when the node's READY is committed. It counts from
   * before that write on, so that nothing written after it takes the node for absent.
   */
  async #register(request: SessionRequest, caller: Caller): Promise<string> {
    const { env, store } = this.#options;
    const { nodeId } = caller;
    if (!this.#registry.admit(nodeId, env.nowMs()).ok) {
      const text = `node ${nodeId} exceeded rate limit count of registrations`;
      throw new RpcError(Code.UNAVAILABLE, text);
    }
    if (store.head((view) => view.nodes.get(nodeId)) === undefined) {
      throw new RpcError(Code.UNKNOWN, 'node not found');
    }
    const sessionId = env.newId();
    this.#registry.register(nodeId, sessionId, this.#heardMs());
    this.#streams.end(nodeId, sessionInvalid, sessionId);
    await this.#nodes.register(nodeId, hostOf(caller.remoteAddress), request.description);
    return sessionId;
  }

  /** Gives the id of the node's session: that which it had, if it still counts, or a new one. */
  async #openSession(request: SessionRequest, caller: Caller): Promise<string> {
    if (!this.#running) throw stopped();
    const { sessionId, description } = request;
    if (sessionId === '' || this.#registry.check(caller.nodeId, sessionId) !== 'ok') {
      return await this.#register(request, caller);
    }
    if (description !== undefined) await this.#nodes.describe(caller.nodeId, description);
    return sessionId;
  }

  // Not one function with what follows, whose frame would keep the request for as long as the session.
  #session(request: SessionRequest, caller: Caller, sink: Sink<SessionMessage>): Promise<void> {
    return this.#openSession(request, caller).then((id) => this.#keepSession(id, caller, sink));
  }

  async #keepSession(sessionId: string, caller: Caller, sink: Sink<SessionMessage>): Promise<void> {
    const { nodeId } = caller;
    const stream: Stream = { nodeId, sessionId, mark: new Mark() };
    this.#streams.sessions.add(stream);
    try {
      for (;;) {
        this.#check(caller, sessionId, mustDisconnect);
        const { store, managers } = this.#options;
        await sink.write(store.view((view) => sessionMessage(view, nodeId, sessionId, managers())));
        await stream.mark.next(sink.signal);
      }
    } finally {
      this.#registry.left(nodeId, sessionId);
      this.#streams.sessions.delete(stream);
    }
  }

  #heartbeat(request: HeartbeatRequest, caller: Caller): HeartbeatResponse {
    this.#check(caller, request.sessionId);
    const { randBelow } = this.#options.env;
    const stretch = this.#heard.isBehind ? DISPATCHER.stretchBehind : 1;
    const periodMs = this.#registry.beat(caller.nodeId, this.#heardMs(), randBelow, stretch);
    return { period: durationOf(periodMs) };
  }

  #updateTaskStatus(request: UpdateTaskStatusRequest, caller: Caller): Encoded {
    this.#check(caller, request.sessionId);
    const { nodeId } = caller;
    const reports: Report[] = [];
    this.#options.store.view((view) => {
      for (const { taskId, status } of request.updates) {
        const row = view.tasks.get(taskId);
        if (row !== undefined && row.nodeId !== nodeId) {
          throw new RpcError(Code.PERMISSION_DENIED, 'cannot update a task not assigned this node');
        }
        if (row === undefined || status === undefined) continue;
        reports.push({ taskId, nodeId, status, place: row.place });
      }
    });
    this.#statuses.report(reports);
    return ACKNOWLEDGED;
  }

  /** A node no longer uses a volume: the manager may unpublish it. Unknown volumes are skipped. */
  async #updateVolumeStatus(
    request: UpdateVolumeStatusRequest,
    caller: Caller,
  ): Promise<UpdateVolumeStatusResponse> {
    this.#check(caller, request.sessionId);
    const { PENDING_UNPUBLISH } = VolumePublishStatusState;
    const done = request.updates.filter((u) => u.unpublished);
    await this.#options.store.batch(done, (tx, { id }) => {
      const volume = tx.volumes.get(id);
      if (volume === undefined) return;
      const publishStatus = volume.publishStatus.map((status) =>
        status.nodeId === caller.nodeId ? { ...status, state: PENDING_UNPUBLISH } : status,
      );
      tx.volumes.update({ ...volume, publishStatus });
    });
    return {};
  }

  /** Opens a stream that is told of the node's tasks from now on, and first of all it has. */
  #openAssignments(nodeId: string, sessionId: string): AssignmentStream {
    const assignments = new NodeAssignments();
    this.#options.store.view((view) => {
      for (const row of view.tasks.byNode(nodeId)) {
        if (row.state >= TaskState.ASSIGNED) assignments.change(row.id);
      }
    });
    const stream = { nodeId, sessionId, mark: new Mark(), assignments };
    stream.mark.set();
    this.#streams.assignments.add(stream);
    return stream;
  }

  /** Runs `send` once at the start and once for each batch of changes, until the stream ends. */
  async #eachBatch(
    caller: Caller,
    sessionId: string,
    signal: AbortSignal,
    send: (stream: AssignmentStream) => Promise<void>,
  ): Promise<void> {
    this.#check(caller, sessionId);
    const stream = this.#openAssignments(caller.nodeId, sessionId);
    try {
      for (let first = true; ; first = false) {
        await stream.mark.next(signal);
        if (!first) await this.#pace.turn();
        this.#check(caller, sessionId, mustDisconnect);
        await send(stream);
      }
    } finally {
      this.#streams.assignments.delete(stream);
    }
  }

  async #assignments(
    request: AssignmentsRequest,
    caller: Caller,
    sink: Sink<AssignmentsMessage>,
  ): Promise<void> {
    const { store } = this.#options;
    let sequence = 0;
    await this.#eachBatch(caller, request.sessionId, sink.signal, async (stream) => {
      const bytes = store.view((view) => {
        const delta = stream.assignments.take((id) => view.tasks.get(id), CHANGES_PER_MESSAGE);
        return delta === undefined ? undefined : assignmentsMessage(view, delta, sequence);
      });
      if (stream.assignments.pending) stream.mark.set();
      if (bytes === undefined) return;
      if (sequence === 0 && bytes.length > ENGINE_RECEIVES_BYTES) {
        const told = { node: caller.nodeId, bytes: bytes.length, engineMax: ENGINE_RECEIVES_BYTES };
        this.#options.log.warn(told, 'a node has more tasks than a Docker Engine can be told of');
      }
      sequence += 1;
      await sink.write(new Encoded(bytes));
    });
  }

  /** The form that agents before assignments used: all tasks, on each change. */
  async #tasks(request: TasksRequest, caller: Caller, sink: Sink<TasksMessage>): Promise<void> {
    const { store } = this.#options;
    await this.#eachBatch(caller, request.sessionId, sink.signal, async (stream) => {
      const tasks = store.view((view) => {
        stream.assignments.take((id) => view.tasks.get(id));
        const rows = view.tasks.byNode(caller.nodeId);
        return rows.filter((r) => r.state >= TaskState.ASSIGNED).map((r) => r.toTask());
      });
      await sink.write({ tasks });
    });
  }
}
