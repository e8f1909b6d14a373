/**
 * Failures of a shape's tasks on a node, for the taint rule: a node with five or more in the last
 * five minutes is chosen only when no node with fewer is left. Time is the caller's.
 */

const WINDOW_MS = 5 * 60_000;
/** Failures from which on a node is tainted for a shape. */
const TAINT_FAILURES = 5;
/** Failures remembered per shape and node: enough to compare tainted nodes. */
const KEPT_MAX = 100;

/** A node, and its failures for a shape. */
type TaintedNode = readonly [node: number, failures: number];

const NO_NODES: readonly TaintedNode[] = [];

export class FailureLog {
  readonly #times = new Map<number, Map<number, number[]>>();

  record(shape: number, node: number, atMs: number): void {
    const ofShape = this.#times.get(shape) ?? new Map<number, number[]>();
    this.#times.set(shape, ofShape);
    const times = ofShape.get(node) ?? [];
    ofShape.set(node, times);
    times.push(atMs);
    if (times.length > KEPT_MAX) times.shift();
  }

  /** Whether any failure of the shape is remembered. */
  knows(shape: number): boolean {
    return this.#times.size > 0 && this.#times.has(shape);
  }

  /** The nodes that are tainted for the shape now, with their failures; old ones are forgotten. */
  tainted(shape: number, nowMs: number): readonly TaintedNode[] {
    const ofShape = this.#times.get(shape);
    if (ofShape === undefined) return NO_NODES;
    const tainted: TaintedNode[] = [];
    for (const [node, times] of ofShape) {
      const recent = times.filter((atMs) => atMs > nowMs - WINDOW_MS);
      if (recent.length === 0) ofShape.delete(node);
      else ofShape.set(node, recent);
      if (recent.length >= TAINT_FAILURES) tainted.push([node, recent.length]);
    }
    return tainted;
  }

  forgetShape(shape: number): void {
    this.#times.delete(shape);
  }

  forgetNode(node: number): void {
    for (const ofShape of this.#times.values()) ofShape.delete(node);
  }
}
