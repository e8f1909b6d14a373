/**
 * The shapes of tasks as the placement thread numbers them: one for each service and spec version,
 * with the profile that the tasks of that version share. Kept while tasks have it, or while it is
 * the current version of its service, whose failures the thread remembers.
 */
import type { Profile, ToPlacement } from '../../shared/lanes/placement.ts';
import type { TaskRow, View } from '../store/view.ts';
import { profileOf } from './placement-facts.ts';
import { Numbers } from './placement-numbers.ts';

type Send = (message: ToPlacement) => void;

/** What is told to a thread under a number, and by how many it is used. */
type Shared = { readonly key: string; readonly number: number; users: number };

type KnownProfile = Shared & { readonly facts: Profile; isTold: boolean };

type KnownShape = {
  readonly key: string;
  readonly number: number;
  readonly serviceId: string;
  readonly version: number;
  readonly service: Shared;
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
  readonly #ofService = new Map<string, Set<KnownShape>>();
  /** Shapes without tasks that have to be looked at. */
  readonly #idle = new Set<KnownShape>();
  /** Shapes that the tasks of this flush need and the thread does not know. */
  #untold: KnownShape[] = [];

  /** How many shapes, services and profiles have a number. */
  get size(): { readonly shapes: number; readonly services: number; readonly profiles: number } {
    return {
      shapes: this.#byKey.size,
      services: this.#services.size,
      profiles: this.#profiles.size,
    };
  }

  /** The shape of a task, which from now on counts among its users until `release`. */
  take(row: TaskRow): number {
    const isAlone = row.specVersion < 0;
    const key = isAlone ? `task ${row.id}` : `${row.serviceId} ${row.specVersion}`;
    const shape = this.#byKey.get(key) ?? this.#add(key, row);
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
    this.#untold.push(shape);
  }

  /** Tells what was needed, before the tasks. */
  tell(send: Send): void {
    const shapes = this.#untold;
    if (shapes.length === 0) return;
    this.#untold = [];
    for (const { profile } of shapes) {
      if (profile.isTold) continue;
      profile.isTold = true;
      send({ t: 'profile', profile: profile.number, facts: profile.facts });
    }
    send({
      t: 'shapes',
      shapes: Int32Array.from(shapes, (shape) => shape.number),
      services: Int32Array.from(shapes, (shape) => shape.service.number),
      profiles: Int32Array.from(shapes, (shape) => shape.profile.number),
    });
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
    this.#untold = [];
    for (const shape of this.#byKey.values()) shape.isTold = false;
    for (const profile of this.#profiles.values()) profile.isTold = false;
  }

  #add(key: string, row: TaskRow): KnownShape {
    const serviceKey = row.serviceId === '' ? `task ${row.id}` : row.serviceId;
    const service = this.#services.get(serviceKey) ?? {
      key: serviceKey,
      number: this.#serviceNumbers.take(),
      users: 0,
    };
    this.#services.set(serviceKey, service);
    service.users++;
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
    this.#byKey.set(key, shape);
    while (this.#byNumber.length <= shape.number) this.#byNumber.push(undefined);
    this.#byNumber[shape.number] = shape;
    const siblings = this.#ofService.get(row.serviceId) ?? new Set();
    this.#ofService.set(row.serviceId, siblings.add(shape));
    return shape;
  }

  #profileFor(row: TaskRow): KnownProfile {
    const facts = profileOf(row.toTask());
    const key = JSON.stringify(facts);
    const profile = this.#profiles.get(key) ?? {
      key,
      number: this.#profileNumbers.take(),
      users: 0,
      facts,
      isTold: false,
    };
    this.#profiles.set(key, profile);
    return profile;
  }

  #remove(shape: KnownShape, turn: number): void {
    this.#byKey.delete(shape.key);
    this.#byNumber[shape.number] = undefined;
    this.#shapeNumbers.release(shape.number, turn);
    const siblings = this.#ofService.get(shape.serviceId);
    siblings?.delete(shape);
    if (siblings?.size === 0) this.#ofService.delete(shape.serviceId);
    shape.service.users--;
    if (shape.service.users === 0) {
      this.#services.delete(shape.service.key);
      this.#serviceNumbers.release(shape.service.number, turn);
    }
    shape.profile.users--;
    if (shape.profile.users === 0) this.#unusedProfiles.add(shape.profile);
  }
}

/** Whether tasks of this very version may come at any time. */
function isCurrent(shape: KnownShape, view: View): boolean {
  if (shape.version < 0) return false;
  return view.services.get(shape.serviceId)?.specVersion?.index === shape.version;
}
