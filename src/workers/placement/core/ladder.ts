/**
 * Nodes filed by (active tasks, room): rungs by number of tasks, in each a set of nodes per room.
 * Walking it gives the node order of a service that has no task anywhere: fewest tasks first, then
 * the roomiest, then the lowest number.
 */
import { NumberSet, type SparePages } from './number-set.ts';
import { highestRoom, type RoomMask, ROOMS } from './room.ts';

/**
 * Where a walk is: the rung, the room in it, and the least node number not yet seen there. `set` is the
 * one of that rung and room once the walk took a node from it, and undefined or empty otherwise.
 */
export type Place = { rung: number; room: number; from: number; set: NumberSet | undefined };

/** The place of a walk that has not been started. */
export function newPlace(): Place {
  return { rung: 0, room: 0, from: 0, set: undefined };
}

class Rung {
  /** Bits of the rooms that hold a node. */
  low = 0;
  high = 0;
  readonly rooms: (NumberSet | undefined)[] = [];

  mark(room: number, present: boolean): void {
    const bit = 1 << (room & 31);
    if (room < 32) this.low = present ? this.low | bit : this.low & ~bit;
    else this.high = present ? this.high | bit : this.high & ~bit;
  }
}

export class Ladder {
  readonly #rungs: (Rung | undefined)[] = [];
  readonly #spare: SparePages = [];
  /** No rung below this one holds a node. */
  #lowest = 0;

  file(node: number, tasks: number, room: number): void {
    const rung = this.#rungs[tasks] ?? this.#newRung(tasks);
    const set = rung.rooms[room] ?? (rung.rooms[room] = new NumberSet(this.#spare));
    if (set.size === 0) rung.mark(room, true);
    set.add(node);
  }

  #newRung(tasks: number): Rung {
    while (this.#rungs.length <= tasks) this.#rungs.push(undefined);
    if (tasks < this.#lowest) this.#lowest = tasks;
    return (this.#rungs[tasks] = new Rung());
  }

  unfile(node: number, tasks: number, room: number): void {
    const rung = this.#rungs[tasks];
    const set = rung?.rooms[room];
    if (rung === undefined || set === undefined) return;
    set.delete(node);
    if (set.size > 0) return;
    rung.mark(room, false);
    if (rung.low === 0 && rung.high === 0) this.#rungs[tasks] = undefined;
  }

  /** Puts a walk at the beginning. */
  start(place: Place): void {
    while (this.#lowest < this.#rungs.length && this.#rungs[this.#lowest] === undefined) {
      this.#lowest++;
    }
    toRung(place, this.#lowest);
  }

  /**
   * The next node of a walk, in one of the given rooms, which are the same for all steps; or -1 at the
   * end. Between two steps nodes may be unfiled anywhere, and filed anywhere behind the place.
   */
  next(place: Place, within: RoomMask): number {
    // Mostly it is where the one before was.
    const node = place.set?.next(place.from) ?? -1;
    if (node < 0) return this.#nextElsewhere(place, within);
    place.from = node + 1;
    return node;
  }

  #nextElsewhere(place: Place, within: RoomMask): number {
    for (; place.rung < this.#rungs.length; toRung(place, place.rung + 1)) {
      const rung = this.#rungs[place.rung];
      if (rung === undefined) continue;
      const node = nextInRung(rung, place, within);
      if (node >= 0) return node;
    }
    return -1;
  }
}

function toRung(place: Place, rung: number): void {
  place.rung = rung;
  place.room = ROOMS - 1;
  place.from = 0;
  place.set = undefined;
}

function nextInRung(rung: Rung, place: Place, within: RoomMask): number {
  for (;;) {
    const room = highestRoom(rung.low & within.low, rung.high & within.high, place.room);
    if (room < 0) return -1;
    if (room !== place.room) {
      place.room = room;
      place.from = 0;
    }
    const set = rung.rooms[room];
    const node = set?.next(place.from) ?? -1;
    if (node >= 0) {
      place.from = node + 1;
      place.set = set;
      return node;
    }
    place.room = room - 1;
    place.from = 0;
  }
}
