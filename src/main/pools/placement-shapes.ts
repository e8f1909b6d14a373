/**
 * The shapes of tasks as the placement thread numbers them: one for each service and spec version,
 * with the profile that the tasks of that version share. Kept while tasks have it, or while it is
 * the current version of its service, whose failures the thread remembers.
 */
import { Int32List } from '../../shared/kit/columns.ts';
import type { Profile, ToPlacement } from '../../shared/lanes/placement.ts';
import type { TaskRow, TaskShared, View } from '../store/view.ts';
import { profileOf } from './placement-facts.ts';
import { Numbers } from './placement-numbers.ts';

type Send = (message: ToPlacement) => void;

/** What is told to a thread under a number, and by how many shapes it is used. */
type Shared = { readonly number: number; users: number };

type KnownProfile = Shared & {
  readonly key: string;
  readonly facts: Profile;
  isTold: boolean;
  isKept: boolean;
};

type KnownShape = {
  /** '' for the shape of one task, which nobody looks for. */
  readonly key: string;
  readonly number: number;
  readonly serviceId: string;
  readonly version: number;
  /** The service's number; a task without a service is one of its own. */
  readonly service: number;
  readonly profile: KnownProfile;
  tasks: number;
  isTold: boolean;
};

export class PlacementShapes {
  readonly #shapeNumbers = new Numbers();
  readonly #serviceNumbers = new Numbers();
  readonly #profileNumbers = new Numbers();
  readonly #byKey = new Map<string, KnownShape>();
  readonly #byNumber: (KnownShape | undefined)[] = [];
  readonly #services = new Map<string, Shared>();
  readonly #profiles = new Map<string, KnownProfile>();
  /** What was found for tasks whose profile follows from what they share alone. */
  readonly #profileOfShared = new WeakMap<TaskShared, KnownProfile>();
  #count = 0;
  #serviceCount = 0;
  readonly #ofService = new Map<string, Set<KnownShape>>();
  /** Shapes without tasks that have to be looked at. */
  readonly #idle = new Set<KnownShape>();
  /** Shapes that the tasks of this flush need and the thread does not know, and their profiles. */
  readonly #untold = [new Int32List(), new Int32List(), new Int32List()] as const;
  #untoldProfiles: KnownProfile[] = [];

  /** How many shapes, services and profiles have a number. */
  get size(): { readonly shapes: number; readonly services: number; readonly profiles: number } {
    return {
      shapes: this.#count,
      services: this.#serviceCount,
      profiles: this.#profiles.size,
    };
  }

  /** The shape of a task, which from now on counts among its users until `release`. */
  take(row: TaskRow): number {
    const version = row.specVersion;
    const key = version < 0 ? '' : `${row.serviceId} ${version}`;
    const shape = (version < 0 ? undefined : this.#byKey.get(key)) ?? this.#add(key, row);
    shape.tasks++;
    this.#idle.delete(shape);
    return shape.number;
  }

  release(number: number): void {
    const shape = this.#byNumber[number];
    if (shape === undefined) return;
    shape.tasks--;
    if (shape.tasks === 0) this.#idle.add(shape);
  }

  /** Whether tasks of the shape hold generic resources. */
  hasGeneric(number: number): boolean {
    return (this.#byNumber[number]?.profile.facts.generic.length ?? 0) > 0;
  }

  /** The service changed or is gone: its versions may have become idle. */
  serviceChanged(serviceId: string): void {
    for (const shape of this.#ofService.get(serviceId) ?? []) {
      if (shape.tasks === 0) this.#idle.add(shape);
    }
  }

  /** Notes that the thread is about to hear of tasks with this shape. */
  need(number: number): void {
    const shape = this.#byNumber[number];
    if (shape === undefined || shape.isTold) return;
    shape.isTold = true;
    const { service, profile } = shape;
    const [shapes, services, profiles] = this.#untold;
    shapes.push(number);
    services.push(service);
    profiles.push(profile.number);
    if (profile.isTold) return;
    profile.isTold = true;
    this.#untoldProfiles.push(profile);
  }

  /** Tells what was needed, before the tasks. */
  tell(send: Send): void {
    const [shapes, services, profiles] = this.#untold;
    if (shapes.length === 0) return;
    for (const { number, facts } of this.#untoldProfiles) {
      send({ t: 'profile', profile: number, facts });
    }
    const columns = { shapes: shapes.copy(), services: services.copy(), profiles: profiles.copy() };
    send({ t: 'shapes', ...columns });
    this.#forgetUntold();
  }

  /** Gives up the shapes that nobody needs any more, after the tasks; `turn` ends this flush. */
  retire(view: View, turn: number, send: Send): void {
    const gone: number[] = [];
    for (const shape of this.#idle) {
      if (isCurrent(shape, view)) continue;
      if (shape.isTold) gone.push(shape.number);
      this.#remove(shape, turn);
    }
    this.#idle.clear();
    if (gone.length > 0) send({ t: 'shapesGone', shapes: Int32Array.from(gone) });
    for (const profile of this.#unusedProfiles) {
      if (profile.users > 0) continue;
      this.#profiles.delete(profile.key);
      profile.isKept = false;
      this.#profileNumbers.release(profile.number, turn);
      if (profile.isTold) send({ t: 'profileGone', profile: profile.number });
    }
    this.#unusedProfiles.clear();
  }

  readonly #unusedProfiles = new Set<KnownProfile>();

  passed(turn: number): void {
    this.#shapeNumbers.passed(turn);
    this.#serviceNumbers.passed(turn);
    this.#profileNumbers.passed(turn);
  }

  /** A new thread knows nothing. */
  forgetTold(): void {
    this.#forgetUntold();
    for (const shape of this.#byNumber) if (shape !== undefined) shape.isTold = false;
    for (const profile of this.#profiles.values()) profile.isTold = false;
  }

  #forgetUntold(): void {
    for (const column of this.#untold) column.clear();
    this.#untoldProfiles = [];
  }

  #add(key: string, row: TaskRow): KnownShape {
    const service = this.#takeService(row.serviceId);
    const profile = this.#profileFor(row);
    profile.users++;
    const shape: KnownShape = {
      key,
      number: this.#shapeNumbers.take(),
      serviceId: row.serviceId,
      version: row.specVersion,
      service,
      profile,
      tasks: 0,
      isTold: false,
    };
    this.#count++;
    while (this.#byNumber.length <= shape.number) this.#byNumber.push(undefined);
    this.#byNumber[shape.number] = shape;
    if (key === '') return shape;
    this.#byKey.set(key, shape);
    const siblings = this.#ofService.get(row.serviceId) ?? new Set();
    this.#ofService.set(row.serviceId, siblings.add(shape));
    return shape;
  }

  /** The number of a service, with one user more. */
  #takeService(serviceId: string): number {
    const known = serviceId === '' ? undefined : this.#services.get(serviceId);
    if (known !== undefined) {
      known.users++;
      return known.number;
    }
    const number = this.#serviceNumbers.take();
    if (serviceId !== '') this.#services.set(serviceId, { number, users: 1 });
    this.#serviceCount++;
    return number;
  }

  #releaseService({ serviceId, service }: KnownShape, turn: number): void {
    const known = this.#services.get(serviceId);
    if (known !== undefined && --known.users > 0) return;
    this.#services.delete(serviceId);
    this.#serviceCount--;
    this.#serviceNumbers.release(service, turn);
  }

  #profileFor(row: TaskRow): KnownProfile {
    // Without networks and ports of its own a task asks for what all tasks of the version ask for.
    const shared = row.allocated ? undefined : row.shared();
    const found = shared === undefined ? undefined : this.#profileOfShared.get(shared);
    if (found?.isKept === true) return found;
    const profile = this.#profileOfTask(row);
    if (shared !== undefined) this.#profileOfShared.set(shared, profile);
    return profile;
  }

  #profileOfTask(row: TaskRow): KnownProfile {
    const facts = profileOf(row.toTask());
    const key = JSON.stringify(facts);
    const profile = this.#profiles.get(key) ?? {
      key,
      number: this.#profileNumbers.take(),
      users: 0,
      facts,
      isTold: false,
      isKept: true,
    };
    this.#profiles.set(key, profile);
    return profile;
  }

  #remove(shape: KnownShape, turn: number): void {
    this.#byNumber[shape.number] = undefined;
    this.#shapeNumbers.release(shape.number, turn);
    this.#count--;
    if (shape.key !== '') {
      this.#byKey.delete(shape.key);
      const siblings = this.#ofService.get(shape.serviceId);
      siblings?.delete(shape);
      if (siblings?.size === 0) this.#ofService.delete(shape.serviceId);
    }
    this.#releaseService(shape, turn);
    shape.profile.users--;
    if (shape.profile.users === 0) this.#unusedProfiles.add(shape.profile);
  }
}

/** Whether tasks of this very version may come at any time. */
function isCurrent(shape: KnownShape, view: View): boolean {
  if (shape.version < 0) return false;
  return view.services.get(shape.serviceId)?.specVersion?.index === shape.version;
}
