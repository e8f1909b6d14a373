/** The profiles and shapes that main made known, and what each shape waits for. */
import assert from 'node:assert/strict';
import type { Profile } from '../../../shared/lanes/placement.ts';
import { compileProfile, type CompiledProfile } from './compiled-profile.ts';
import { newQueue, type TaskQueue } from './task-table.ts';

/** What the user was told about a shape's waiting tasks. */
export type Told = {
  text: string;
  counts: Int32Array;
  /** Counts the texts; a task that was told the current one carries this number. 0 before any. */
  id: number;
  /** When the text was last made up, and the version of the nodes it was made from. */
  atMs: number;
  version: number;
  /** Whether some waiting task was not told the current text. */
  isDue: boolean;
};

const NO_COUNTS = new Int32Array(0);

export class Shape {
  readonly number: number;
  readonly service: number;
  readonly profile: CompiledProfile;
  readonly waiting: TaskQueue = newQueue();
  /** Whether the shape is in the list of those that wait. */
  isListed = false;
  /** Journal position at which no node could take a task; -1 when one may. */
  exhaustedAt = -1;
  readonly told: Told = {
    text: '',
    counts: NO_COUNTS,
    id: 0,
    atMs: -Infinity,
    version: -1,
    isDue: false,
  };

  constructor(number: number, service: number, profile: CompiledProfile) {
    this.number = number;
    this.service = service;
    this.profile = profile;
  }
}

export class Shapes {
  readonly #profiles = new Map<number, CompiledProfile>();
  readonly #shapes: (Shape | undefined)[] = [];

  setProfile(profile: number, facts: Profile): void {
    assert.ok(!this.#profiles.has(profile), `profile ${profile} is known already`);
    this.#profiles.set(profile, compileProfile(facts));
  }

  forgetProfile(profile: number): void {
    this.#profiles.delete(profile);
  }

  add(number: number, service: number, profileNumber: number): void {
    const profile = this.#profiles.get(profileNumber);
    assert.ok(profile !== undefined, `shape ${number} has unknown profile ${profileNumber}`);
    assert.equal(this.#shapes[number], undefined, `shape ${number} is known already`);
    while (this.#shapes.length <= number) this.#shapes.push(undefined);
    this.#shapes[number] = new Shape(number, service, profile);
  }

  get(number: number): Shape {
    const shape = this.#shapes[number];
    assert.ok(shape !== undefined, `shape ${number} is not known`);
    return shape;
  }

  forget(number: number): void {
    assert.equal(this.get(number).waiting.length, 0, `tasks of shape ${number} are waiting`);
    this.#shapes[number] = undefined;
  }
}
