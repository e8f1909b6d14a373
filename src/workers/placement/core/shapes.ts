/** The profiles and shapes that main made known, as columns, and what each shape waits for. */
import assert from 'node:assert/strict';
import { grownFloat64, grownInt32, largest } from '../../../shared/kit/columns.ts';
import type { Profile } from '../../../shared/lanes/placement.ts';
import { compileProfile, type CompiledProfile } from './compiled-profile.ts';

const NONE = -1;

export class Shapes {
  readonly #profiles = new Map<number, CompiledProfile>();
  /** The profiles in use by shapes, each at a place of its own. */
  readonly #used: (CompiledProfile | undefined)[] = [];
  readonly #placeOf = new Map<CompiledProfile, number>();
  readonly #users: number[] = [];
  readonly #freePlaces: number[] = [];
  #service = new Int32Array(64);
  /** Place of the shape's profile, one too high; 0 for a shape that is not known. */
  #profile = new Int32Array(64);
  #exhaustedAt = new Float64Array(64);

  setProfile(profile: number, facts: Profile): void {
    assert.ok(!this.#profiles.has(profile), `profile ${profile} is known already`);
    this.#profiles.set(profile, compileProfile(facts));
  }

  forgetProfile(profile: number): void {
    this.#profiles.delete(profile);
  }

  /** Makes shapes known, given as columns. */
  add(shapes: Int32Array, services: Int32Array, profiles: Int32Array): void {
    this.#reserve(largest(shapes));
    let lastNumber = NONE;
    let place = NONE;
    for (let i = 0; i < shapes.length; i++) {
      const number = profiles[i] ?? NONE;
      // Shapes that come together mostly have one profile.
      if (number !== lastNumber) place = this.#use(number);
      lastNumber = number;
      this.#users[place] = (this.#users[place] ?? 0) + 1;
      this.#add(shapes[i] ?? NONE, services[i] ?? NONE, place);
    }
  }

  has(shape: number): boolean {
    return (this.#profile[shape] ?? 0) !== 0;
  }

  /** Fails if one of the shapes is not known. */
  check(shapes: Int32Array): void {
    const profiles = this.#profile;
    for (let i = 0; i < shapes.length; i++) {
      if ((profiles[shapes[i]!] ?? 0) === 0) assert.fail(`shape ${shapes[i]} is not known`);
    }
  }

  service(shape: number): number {
    return this.#service[shape] ?? NONE;
  }

  profile(shape: number): CompiledProfile {
    const profile = this.#used[(this.#profile[shape] ?? 0) - 1];
    if (profile === undefined) assert.fail(`shape ${shape} is not known`);
    return profile;
  }

  /** The queue of the shape's waiting tasks. */
  queue(shape: number): number {
    return shape + 1;
  }

  /** Journal position at which no node could take a task; -1 when one may. */
  exhaustedAt(shape: number): number {
    return this.#exhaustedAt[shape] ?? NONE;
  }

  setExhaustedAt(shape: number, position: number): void {
    this.#exhaustedAt[shape] = position;
  }

  forget(shape: number): void {
    const profile = this.profile(shape);
    const place = (this.#profile[shape] ?? 0) - 1;
    this.#profile[shape] = 0;
    const users = (this.#users[place] ?? 0) - 1;
    this.#users[place] = users;
    if (users > 0) return;
    this.#used[place] = undefined;
    this.#placeOf.delete(profile);
    this.#freePlaces.push(place);
  }

  #use(number: number): number {
    const profile = this.#profiles.get(number);
    assert.ok(profile !== undefined, `profile ${number} is not known`);
    const known = this.#placeOf.get(profile);
    if (known !== undefined) return known;
    const place = this.#freePlaces.pop() ?? this.#used.length;
    if (place === this.#used.length) this.#used.push(profile);
    else this.#used[place] = profile;
    this.#users[place] = 0;
    this.#placeOf.set(profile, place);
    return place;
  }

  #add(shape: number, service: number, place: number): void {
    if (shape < 0) assert.fail(`shape number ${shape} is out of range`);
    if (this.#profile[shape] !== 0) assert.fail(`shape ${shape} is known already`);
    this.#service[shape] = service;
    this.#profile[shape] = place + 1;
    this.#exhaustedAt[shape] = NONE;
  }

  /** Makes room for all shapes up to the given one at once. */
  #reserve(shape: number): void {
    this.#service = grownInt32(this.#service, shape);
    this.#profile = grownInt32(this.#profile, shape);
    this.#exhaustedAt = grownFloat64(this.#exhaustedAt, shape);
  }
}
