/**
 * The open streams of the nodes, and which of them each commit concerns. A commit only marks streams;
 * each stream's own loop reads the store when it is its turn to send.
 */
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Commit, TaskChange } from '../store/transaction.ts';
import { mustSend, type NodeAssignments } from './core/assignments.ts';
import type { Mark } from '../kit/mark.ts';

/** One stream to a node: `mark` wakes its loop, or ends it. */
export type Stream = { readonly nodeId: string; readonly sessionId: string; readonly mark: Mark };
export type AssignmentStream = Stream & { readonly assignments: NodeAssignments };

class ByNode<S extends Stream> {
  readonly #streams = new Map<string, Set<S>>();

  add(stream: S): void {
    const set = this.#streams.get(stream.nodeId) ?? new Set();
    this.#streams.set(stream.nodeId, set.add(stream));
  }

  delete(stream: S): void {
    const set = this.#streams.get(stream.nodeId);
    if (set?.delete(stream) && set.size === 0) this.#streams.delete(stream.nodeId);
  }

  of(nodeId: string): Iterable<S> {
    return this.#streams.get(nodeId) ?? [];
  }

  *all(): Iterable<S> {
    for (const set of this.#streams.values()) yield* set;
  }
}

export class Streams {
  readonly sessions = new ByNode<Stream>();
  readonly assignments = new ByNode<AssignmentStream>();

  /** Marks the streams that a commit concerns. Gives the ids of nodes that were deleted. */
  commit(commit: Commit): string[] {
    const deleted: string[] = [];
    for (const change of commit.changes) {
      if (change.kind === 'task') this.#task(change);
      else if (change.kind === 'cluster') this.markSessions();
      else if (change.kind === 'node') {
        if (change.action === 'remove') deleted.push(change.object.id);
        for (const session of this.sessions.of(change.object.id)) session.mark.set();
      }
    }
    return deleted;
  }

  #task(change: TaskChange): void {
    const row = change.object;
    if (row.nodeId === '') return;
    for (const stream of this.assignments.of(row.nodeId)) {
      if (change.action === 'remove') stream.assignments.remove(row.id);
      else if (change.action === 'create') {
        if (row.state >= TaskState.ASSIGNED) stream.assignments.change(row.id);
      } else if (mustSend(change.old, row)) stream.assignments.change(row.id);
      else if (row.state > TaskState.RUNNING && change.old.state <= TaskState.RUNNING) {
        stream.assignments.end(row.id);
      }
      if (stream.assignments.pending) stream.mark.set();
    }
  }

  /** Sends every session its message again: the set of managers or the cluster has changed. */
  markSessions(): void {
    for (const session of this.sessions.all()) session.mark.set();
  }

  /** Ends the streams of a node, but for those of the session `except`. Most often there are none. */
  end(nodeId: string, error: () => Error, except = ''): void {
    for (const streams of [this.sessions, this.assignments]) {
      for (const stream of streams.of(nodeId)) {
        if (stream.sessionId !== except) stream.mark.fail(error());
      }
    }
  }

  endAll(error: Error): void {
    for (const streams of [this.sessions, this.assignments]) {
      for (const stream of streams.all()) stream.mark.fail(error);
    }
  }
}
