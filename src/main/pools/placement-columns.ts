/** What one flush tells the placement thread of tasks: gathered in columns, sent in the order that the thread needs. */
import { Int32List } from '../../shared/kit/columns.ts';
import type { TaskClaims, ToPlacement } from '../../shared/lanes/placement.ts';
import type { PlacementShapes } from './placement-shapes.ts';

export class PlacementColumns {
  /** What ends or changes of tasks that the thread knows. */
  readonly refused = new Int32List();
  readonly inactive = new Int32List();
  readonly gone = new Int32List();
  /** Tasks that are new to it. */
  readonly #held = [new Int32List(), new Int32List(), new Int32List(), new Int32List()] as const;
  readonly #claims: TaskClaims[] = [];
  readonly #confirm = [new Int32List(), new Int32List(), new Int32List()] as const;
  readonly #place = [new Int32List(), new Int32List()] as const;

  held(task: number, shape: number, node: number, isActive: boolean): void {
    const [tasks, shapes, nodes, active] = this.#held;
    tasks.push(task);
    shapes.push(shape);
    nodes.push(node);
    active.push(isActive ? 1 : 0);
  }

  /** What a task that is held has of generic resources. */
  claims(held: TaskClaims): void {
    this.#claims.push(held);
  }

  confirm(task: number, shape: number, node: number): void {
    const [tasks, shapes, nodes] = this.#confirm;
    tasks.push(task);
    shapes.push(shape);
    nodes.push(node);
  }

  place(task: number, shape: number): void {
    const [tasks, shapes] = this.#place;
    tasks.push(task);
    shapes.push(shape);
  }

  /** `shapes` tells of those that the new tasks have. */
  send(shapes: PlacementShapes, send: (message: ToPlacement) => void): void {
    const { refused, inactive, gone } = this;
    if (refused.length > 0) send({ t: 'refused', tasks: refused.copy() });
    if (inactive.length > 0) send({ t: 'inactive', tasks: inactive.copy() });
    if (gone.length > 0) send({ t: 'gone', tasks: gone.copy() });
    shapes.tell(send);
    const [held, confirm, place] = [this.#held, this.#confirm, this.#place];
    if (held[0].length > 0) {
      send({
        t: 'held',
        tasks: held[0].copy(),
        shapes: held[1].copy(),
        nodes: held[2].copy(),
        active: Uint8Array.from(held[3].copy()),
        claims: this.#claims,
      });
    }
    if (confirm[0].length > 0) {
      send({
        t: 'confirm',
        tasks: confirm[0].copy(),
        shapes: confirm[1].copy(),
        nodes: confirm[2].copy(),
      });
    }
    if (place[0].length > 0) {
      send({ t: 'place', tasks: place[0].copy(), shapes: place[1].copy() });
    }
  }
}
