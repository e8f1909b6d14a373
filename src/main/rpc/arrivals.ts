/**
 * Connections that have come in and wait for their TLS handshake.
 *
 * A handshake takes this thread about a millisecond. When thousands of nodes come back at once, as
 * after a restart, only a few begin in each turn of the event loop, so that those that are through get
 * their answers meanwhile; and only so many are under way that their clients can follow, since the work
 * on one whose client gives up is lost, and its next attempt is more work still. One that takes long is
 * its client's fault and takes no place from others.
 *
 * Node accepts one connection in a turn, the oldest. Were its handshake begun there and then, all others
 * would wait in the kernel, and once that takes longer than a client waits, everybody who is accepted has
 * given up already: thousands of handshakes, and none that succeeds. So turns go by in which connections
 * are only accepted until one brings none.
 *
 * The youngest goes first: the oldest will soon be given up by its client, who tries again later, and
 * one that has surely been given up is closed before any work is spent on it.
 */
import type { Socket } from 'node:net';

export const ARRIVALS = {
  /** Handshakes that begin in one turn. */
  perTurn: 8,
  /** Turns in a row that only accept: after them some begin, even if more connections come all the time. */
  acceptTurnsMax: 64,
  /** Handshakes under way. */
  atOnceMax: 128,
  /** A handshake that takes longer no longer counts as under way: its client is slow, or gone. */
  slowMs: 500,
  /**
   * A node's agent gives a manager five seconds to open its session. The handshake, the registration and
   * their answers need as long as the wait when all come at once: what begins later is given up half-way.
   */
  waitMaxMs: 2500,
  /** Who was turned away comes again within so long: what a node's agent waits at most. */
  returnMs: 8000,
} as const;

type Arrival = { readonly socket: Socket; readonly atMs: number };

/** The event loop and its clock; `after` gives a function that takes the call back. */
type Turns = {
  readonly nowMs: () => number;
  readonly nextTurn: (run: () => void) => unknown;
  readonly after: (run: () => void, delayMs: number) => () => void;
};

const REAL: Turns = {
  nowMs: () => performance.now(),
  nextTurn: setImmediate,
  after: (run, delayMs) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

export class Arrivals {
  readonly #begin: (socket: Socket) => void;
  readonly #turns: Turns;
  /** Oldest first. */
  #waiting: Arrival[] = [];
  /** Handshakes under way and when they began, oldest first. */
  readonly #underWay = new Map<Socket, number>();
  #turnIsBooked = false;
  /** Connections came since the last turn. */
  #hasCome = false;
  #acceptTurns = 0;
  /** When connections were last closed that had waited too long. */
  #turnedAwayAtMs = -Infinity;
  /** Takes back the call that comes when the oldest handshake counts no more. */
  #cancelWake: (() => void) | undefined;

  /** `begin` starts the handshake of a connection; `ended` must follow. */
  constructor(begin: (socket: Socket) => void, turns: Turns = REAL) {
    this.#begin = begin;
    this.#turns = turns;
  }

  /** A connection has come in; nothing was read of it yet. */
  add(socket: Socket): void {
    this.#waiting.push({ socket, atMs: this.#turns.nowMs() });
    this.#hasCome = true;
    this.#bookTurn();
  }

  /** The handshake of a connection is over, or the connection is: well or not, and even if it never began. */
  ended(socket: Socket): void {
    if (this.#underWay.delete(socket) && this.#waiting.length > 0) this.#bookTurn();
  }

  /** Whether more come than can be answered: some wait, or were turned away and may not be back yet. */
  get isBehind(): boolean {
    if (this.#waiting.length > 0) return true;
    return this.#turns.nowMs() - this.#turnedAwayAtMs < ARRIVALS.returnMs;
  }

  /** Closes those that wait. */
  clear(): void {
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
    this.#cancelWake?.();
    this.#cancelWake = undefined;
  }

  /** Begins what may begin in this turn. */
  #work(): void {
    this.#dropStale();
    this.#forgetSlow();
    let left: number = ARRIVALS.perTurn;
    while (left > 0 && this.#underWay.size < ARRIVALS.atOnceMax) {
      const next = this.#waiting.pop();
      if (next === undefined) return;
      if (next.socket.destroyed) continue;
      left -= 1;
      this.#underWay.set(next.socket, this.#turns.nowMs());
      this.#begin(next.socket);
    }
    if (this.#waiting.length === 0) return;
    if (this.#underWay.size < ARRIVALS.atOnceMax) this.#bookTurn();
    else this.#bookWake();
  }

  #forgetSlow(): void {
    const sinceMs = this.#turns.nowMs() - ARRIVALS.slowMs;
    for (const [socket, beganMs] of this.#underWay) {
      if (beganMs > sinceMs) return;
      this.#underWay.delete(socket);
    }
  }

  #bookTurn(): void {
    if (this.#turnIsBooked) return;
    this.#turnIsBooked = true;
    this.#turns.nextTurn(() => this.#onTurn());
  }

  #onTurn(): void {
    this.#turnIsBooked = false;
    if (this.#hasCome && this.#acceptTurns < ARRIVALS.acceptTurnsMax) {
      this.#hasCome = false;
      this.#acceptTurns += 1;
      this.#bookTurn();
      return;
    }
    this.#hasCome = false;
    this.#acceptTurns = 0;
    this.#work();
  }

  /** When all places are taken: the end of a handshake makes room, or time does. */
  #bookWake(): void {
    const [oldestMs] = this.#underWay.values();
    if (this.#cancelWake !== undefined || oldestMs === undefined) return;
    const delayMs = Math.max(1, oldestMs + ARRIVALS.slowMs - this.#turns.nowMs());
    this.#cancelWake = this.#turns.after(() => this.#onWake(), delayMs);
  }

  #onWake(): void {
    this.#cancelWake = undefined;
    this.#work();
  }

  #dropStale(): void {
    const sinceMs = this.#turns.nowMs() - ARRIVALS.waitMaxMs;
    const fresh = this.#waiting.findIndex(({ atMs }) => atMs >= sinceMs);
    const stale = this.#waiting.splice(0, fresh === -1 ? this.#waiting.length : fresh);
    if (stale.length > 0) this.#turnedAwayAtMs = this.#turns.nowMs();
    for (const { socket } of stale) socket.destroy();
  }
}
