/**
 * Who is here: the sessions of the nodes and when each counts as lost. Pure: time comes in, verdicts
 * go out; no timer and no store write is needed for a heartbeat.
 *
 * A node is *registered* (it has a session and must beat before its deadline), *awaited* (unknown
 * after a change of leader: it has twice as long to come back) or *down* (its tasks are given up after
 * a day).
 */
import assert from 'node:assert/strict';

/** Periods and limits; behaviour rule 5.1. */
export const DISPATCHER = {
  heartbeatPeriodMs: 5000,
  /** Each answer spreads the period by this much, both ways. */
  heartbeatSpreadMs: 500,
  /** How many times the period a node may wait while others wait to be heard at all. */
  stretchBehind: 2,
  graceFactor: 3,
  graceFactorUnknown: 6,
  orphanAfterMs: 24 * 3600 * 1000,
  rateLimitCount: 3,
  rateLimitPeriodMs: 8000,
} as const;

type Presence =
  | {
      readonly state: 'registered';
      readonly sessionId: string;
      deadlineMs: number;
      /** Until when it was awaited; 0 once it has beaten, or if it was not. */
      awaitedUntilMs: number;
    }
  | { readonly state: 'awaited'; readonly deadlineMs: number }
  | { readonly state: 'down'; readonly orphanAtMs: number };

/** What time has brought. `lost` and `missing` nodes are down now; `orphaned` ones are given up. */
export type Expired = {
  /** Registered nodes whose heartbeats stopped. */
  readonly lost: readonly string[];
  /** Nodes that never came back after the change of leader. */
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
};

type ExpiredLists = { readonly [K in keyof Expired]: string[] };

export type Registration =
  | { readonly ok: true }
  /** Registered three times, each within eight seconds of the one before, and less than that ago. */
  | { readonly ok: false; readonly reason: 'rate-limited' };

export class Registry {
  readonly #nodes = new Map<string, Presence>();
  readonly #attempts = new Map<string, { count: number; lastMs: number }>();
  #periodMs: number = DISPATCHER.heartbeatPeriodMs;
  /** No node's time is over before: deadlines are only looked at from then on. */
  #nextDueMs = Infinity;
  /** When attempts were last looked at that no longer count. */
  #sweptMs = 0;

  /** The heartbeat period of the cluster's spec; it holds from the next heartbeat on. */
  setPeriod(periodMs: number): void {
    assert(periodMs > 0, 'a heartbeat period is positive');
    this.#periodMs = periodMs;
  }

  /** A node known from the store at the start of this leadership, not down. */
  expect(nodeId: string, nowMs: number): void {
    const deadlineMs = nowMs + this.#periodMs * DISPATCHER.graceFactorUnknown;
    this.#nodes.set(nodeId, { state: 'awaited', deadlineMs });
    this.#lookFrom(deadlineMs);
  }

  /** A node known to be down. */
  down(nodeId: string, nowMs: number): void {
    const orphanAtMs = nowMs + DISPATCHER.orphanAfterMs;
    this.#nodes.set(nodeId, { state: 'down', orphanAtMs });
    this.#lookFrom(orphanAtMs);
  }

  #lookFrom(dueMs: number): void {
    this.#nextDueMs = Math.min(this.#nextDueMs, dueMs);
  }

  /**
   * Whether this node may register once more now; counts the attempt. A refused one does not move the
   * time from which the eight seconds count: a node that tries on is let in when they are over.
   */
  admit(nodeId: string, nowMs: number): Registration {
    const last = this.#attempts.get(nodeId);
    if (last === undefined || nowMs - last.lastMs > DISPATCHER.rateLimitPeriodMs) {
      this.#attempts.set(nodeId, { count: 1, lastMs: nowMs });
      return { ok: true };
    }
    last.count += 1;
    if (last.count > DISPATCHER.rateLimitCount) return { ok: false, reason: 'rate-limited' };
    last.lastMs = nowMs;
    return { ok: true };
  }

  /** Opens a session; a former session of the node ends. */
  register(nodeId: string, sessionId: string, nowMs: number): void {
    const awaitedUntilMs = awaitedUntil(this.#nodes.get(nodeId));
    const deadlineMs = this.#deadline(nowMs);
    this.#nodes.set(nodeId, { state: 'registered', sessionId, deadlineMs, awaitedUntilMs });
    this.#lookFrom(deadlineMs);
  }

  /**
   * The node has left this session. If it has not beaten in it, it is awaited for as long as before: when
   * thousands come back at once, some give up before they hear that they were registered, and try again.
   */
  left(nodeId: string, sessionId: string): void {
    const presence = this.#nodes.get(nodeId);
    if (presence?.state !== 'registered' || presence.sessionId !== sessionId) return;
    presence.deadlineMs = Math.max(presence.deadlineMs, presence.awaitedUntilMs);
  }

  #deadline(nowMs: number, stretch = 1): number {
    return nowMs + this.#periodMs * stretch * DISPATCHER.graceFactor;
  }

  /** Whether the node is registered, and with this session. */
  check(nodeId: string, sessionId: string): 'ok' | 'not-registered' | 'session-invalid' {
    const presence = this.#nodes.get(nodeId);
    if (presence?.state !== 'registered') return 'not-registered';
    return presence.sessionId === sessionId ? 'ok' : 'session-invalid';
  }

  /**
   * Counts a heartbeat of a registered node; gives the time until its next one. `stretch` times the period
   * and the patience that goes with it is what a manager asks for that cannot follow.
   */
  beat(nodeId: string, nowMs: number, randBelow: (limit: number) => number, stretch = 1): number {
    const presence = this.#nodes.get(nodeId);
    assert(presence?.state === 'registered', 'only a registered node beats');
    presence.deadlineMs = this.#deadline(nowMs, stretch);
    // A shorter patience than last time, or a shorter period of the cluster.
    this.#lookFrom(presence.deadlineMs);
    presence.awaitedUntilMs = 0;
    const periodMs = this.#periodMs * stretch;
    const spreadMs = Math.min(DISPATCHER.heartbeatSpreadMs, Math.floor(periodMs / 10));
    return periodMs - spreadMs + randBelow(2 * spreadMs + 1);
  }

  /** Forgets a node that was deleted. */
  forget(nodeId: string): void {
    this.#nodes.delete(nodeId);
    this.#attempts.delete(nodeId);
  }

  /** Moves every node whose time is over, and says which. */
  expire(nowMs: number): Expired {
    const expired: ExpiredLists = { lost: [], missing: [], orphaned: [] };
    if (nowMs >= this.#nextDueMs) this.#expireNodes(nowMs, expired);
    if (nowMs - this.#sweptMs > DISPATCHER.rateLimitPeriodMs) this.#sweepAttempts(nowMs);
    return expired;
  }

  #expireNodes(nowMs: number, { lost, missing, orphaned }: ExpiredLists): void {
    this.#nextDueMs = Infinity;
    for (const [nodeId, presence] of this.#nodes) {
      const dueMs = presence.state === 'down' ? presence.orphanAtMs : presence.deadlineMs;
      if (dueMs > nowMs) this.#lookFrom(dueMs);
      else if (presence.state === 'down') {
        this.#nodes.delete(nodeId);
        orphaned.push(nodeId);
      } else {
        (presence.state === 'registered' ? lost : missing).push(nodeId);
        this.down(nodeId, nowMs);
      }
    }
  }

  #sweepAttempts(nowMs: number): void {
    this.#sweptMs = nowMs;
    for (const [nodeId, { lastMs }] of this.#attempts) {
      if (nowMs - lastMs > DISPATCHER.rateLimitPeriodMs) this.#attempts.delete(nodeId);
    }
  }

  isRegistered(nodeId: string): boolean {
    return this.#nodes.get(nodeId)?.state === 'registered';
  }

  /** The nodes with a session now. */
  registered(): string[] {
    return [...this.#nodes].filter(([, p]) => p.state === 'registered').map(([id]) => id);
  }
}

function awaitedUntil(presence: Presence | undefined): number {
  if (presence?.state === 'awaited') return presence.deadlineMs;
  return presence?.state === 'registered' ? presence.awaitedUntilMs : 0;
}
