/** The profiles and shapes that main made known, as columns, and what each shape waits for. */
import assert from 'node:assert/strict';
import { grownFloat64, grownInt32, largest } from '../../../shared/kit/columns.ts';
import type { Profile } from '../../../shared/lanes/placement.ts';
import { compileProfile, type CompiledProfile } from './compiled-profile.ts';

const NONE = -1;

export class Shapes {
  /** The profiles that main knows or that shapes have, each at a place of its own. */
  readonly #profiles: (CompiledProfile | undefined)[] = [];
  /** For each place, how many shapes have the profile, and one more while main knows it. */
  readonly #users: number[] = [];
  readonly #freePlaces: number[] = [];
  /** Place of each profile that main knows, by its number there, one too high; 0 for none. */
  #placeOf = new Int32Array(64);
  #service = new Int32Array(64);
  /** Place of the shape's profile, one too high; 0 for a shape that is not known. */
  #profile = new Int32Array(64);
  #exhaustedAt = new Float64Array(64);

  setProfile(profile: number, facts: Profile): void {
    assert.ok(profile >= 0, `profile number ${profile} is out of range`);
    this.#placeOf = grownInt32(this.#placeOf, profile);
    assert.equal(this.#placeOf[profile], 0, `profile ${profile} is known already`);
    const place = this.#freePlaces.pop() ?? this.#profiles.length;
    const compiled = compileProfile(facts);
    if (place === this.#profiles.length) this.#profiles.push(compiled);
    else this.#profiles[place] = compiled;
    this.#users[place] = 1;
    this.#placeOf[profile] = place + 1;
  }

  forgetProfile(profile: number): void {
    const place = (this.#placeOf[profile] ?? 0) - 1;
    if (place === NONE) return;
    this.#placeOf[profile] = 0;
    this.#leave(place);
  }

  /** Makes shapes known, given as columns. */
  add(shapes: Int32Array, services: Int32Array, profiles: Int32Array): void {
    this.#reserve(largest(shapes));
    const placeOf = this.#placeOf;
    const users = this.#users;
    for (let i = 0; i < shapes.length; i++) {
      const place = (placeOf[profiles[i]!] ?? 0) - 1;
      if (place === NONE) assert.fail(`profile ${profiles[i]} is not known`);
      users[place]!++;
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
    const profile = this.#profiles[(this.#profile[shape] ?? 0) - 1];
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
    const place = (this.#profile[shape] ?? 0) - 1;
    if (place === NONE) assert.fail(`shape ${shape} is not known`);
    this.#profile[shape] = 0;
    this.#leave(place);
  }

  /** One user of a profile less. */
  #leave(place: number): void {
    const users = (this.#users[place] ?? 0) - 1;
    this.#users[place] = users;
    if (users > 0) return;
    this.#profiles[place] = undefined;
    this.#freePlaces.push(place);
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
