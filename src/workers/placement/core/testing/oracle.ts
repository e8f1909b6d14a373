/**
 * The placement rules said in the slowest and most obvious way: plain objects, every node looked at
 * for every task. Tests hold the engine against it.
 */
import type {
  GenericClaim,
  NodeFacts,
  Profile,
  FilterName,
} from '../../../../shared/lanes/placement.ts';
import { matchesConstraints, parseConstraints } from '../../../../shared/model/constraints.ts';

type OracleTask = {
  readonly task: number;
  readonly shape: OracleShape;
  readonly preset: boolean;
  chosen: boolean;
  node: number;
  state: 'waiting' | 'confirming' | 'held';
  active: boolean;
  claims: readonly GenericClaim[];
};

type OracleShape = { readonly number: number; readonly service: number; readonly profile: Profile };

export type OracleDecision = {
  readonly task: number;
  readonly node: number;
  readonly claims: readonly GenericClaim[];
};

export class Oracle {
  readonly nodes = new Map<number, NodeFacts>();
  readonly shapes = new Map<number, OracleShape>();
  /** In the order in which the tasks came. */
  readonly tasks = new Map<number, OracleTask>();
  #waitingShapes: number[] = [];
  #failures: { shape: number; node: number; atMs: number }[] = [];

  addShape(number: number, service: number, profile: Profile): void {
    this.shapes.set(number, { number, service, profile });
  }

  place(task: number, shape: number): void {
    this.#enter(task, shape, { state: 'waiting', node: -1, preset: false });
  }

  confirm(task: number, shape: number, node: number): void {
    this.#enter(task, shape, { state: 'confirming', node, preset: true });
  }

  hold(task: number, shape: number, node: number, active: boolean): void {
    const entered = this.#enter(task, shape, { state: 'held', node, preset: true });
    entered.active = active;
  }

  fail(task: number, atMs: number): void {
    const { shape, node, state, chosen } = this.#task(task);
    if (state === 'held' && chosen) this.#failures.push({ shape: shape.number, node, atMs });
  }

  nodeGone(node: number): void {
    this.nodes.delete(node);
    this.#failures = this.#failures.filter((failure) => failure.node !== node);
  }

  refuse(task: number): void {
    const { shape, node, preset } = this.#task(task);
    this.tasks.delete(task);
    if (preset) this.confirm(task, shape.number, node);
    else this.place(task, shape.number);
  }

  /** Decides as `Placer.turn` does. */
  turn(nowMs: number, limit = Infinity): OracleDecision[] {
    const decisions: OracleDecision[] = [];
    for (const task of this.tasks.values()) {
      if (task.state !== 'confirming' || this.reason(task.shape, task.node) !== 'passes') continue;
      decisions.push(this.#decide(task, task.node));
    }
    let placed = 0;
    for (const shape of this.#waitingShapes) {
      for (const task of this.waitingOf(shape)) {
        const node = placed < limit ? this.#best(task.shape, nowMs) : undefined;
        if (node === undefined) break;
        decisions.push(this.#decide(task, node));
        placed++;
      }
    }
    this.#waitingShapes = this.#waitingShapes.filter((shape) => this.waitingOf(shape).length > 0);
    return decisions;
  }

  waitingOf(shape: number): OracleTask[] {
    return [...this.tasks.values()].filter(
      (task) => task.state === 'waiting' && task.shape.number === shape,
    );
  }

  /** How many nodes each filter refuses for one more task. */
  counts(shape: OracleShape): Map<FilterName, number> {
    const counts = new Map<FilterName, number>();
    for (const node of this.nodes.keys()) {
      const reason = this.reason(shape, node);
      if (reason === 'passes' || reason === 'unknown') continue;
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    return counts;
  }

  /** The first filter in the pipeline that refuses one more task of the shape on the node. */
  reason(shape: OracleShape, node: number): FilterName | 'passes' | 'unknown' {
    const facts = this.nodes.get(node);
    if (facts === undefined) return 'unknown';
    const { profile } = shape;
    if (!facts.available) return 'ready';
    if (!this.#fits(profile, node, facts)) return 'resource';
    if (!profile.plugins.every((plugin) => hasPlugin(facts, plugin))) return 'plugin';
    if (!hasRuntime(facts, profile.runtime)) return 'runtime';
    const parsed = parseConstraints(profile.constraints);
    if (parsed.ok && !matchesConstraints(parsed.constraints, facts.subject)) return 'constraint';
    if (!hasPlatform(facts, profile)) return 'platform';
    const ports = new Set(this.#on(node).flatMap((task) => task.shape.profile.hostPorts));
    if (profile.hostPorts.some((port) => ports.has(port))) return 'hostPort';
    const max = profile.replicasMax;
    return max > 0 && this.replicas(shape.service, node) >= max ? 'maxReplicas' : 'passes';
  }

  /** Active tasks of a service on a node. */
  replicas(service: number, node: number): number {
    return this.#on(node).filter((task) => task.active && task.shape.service === service).length;
  }

  activeTasks(node: number): number {
    return this.#on(node).filter((task) => task.active).length;
  }

  /** What is left of processor time and memory on a node. */
  free(node: number): { nanoCpus: number; memoryBytes: number } {
    const facts = this.nodes.get(node);
    const free = { nanoCpus: facts?.nanoCpus ?? 0, memoryBytes: facts?.memoryBytes ?? 0 };
    for (const task of this.#on(node)) {
      free.nanoCpus -= task.shape.profile.nanoCpus;
      free.memoryBytes -= task.shape.profile.memoryBytes;
    }
    return free;
  }

  /** Free names of a kind on a node, or how many where it offers no names. */
  freeGeneric(node: number, kind: string): { names: readonly string[]; count: number } {
    const offer = this.nodes.get(node)?.generic.find((offered) => offered.kind === kind);
    const held = this.#on(node)
      .flatMap((task) => task.claims)
      .filter((claim) => claim.kind === kind);
    const heldNames = new Set(held.flatMap((claim) => claim.names));
    const names = (offer?.names ?? []).filter((name) => !heldNames.has(name));
    if (offer !== undefined && offer.names.length > 0) return { names, count: names.length };
    const heldCount = held.reduce((sum, claim) => sum + claim.count, 0);
    return { names, count: (offer?.count ?? 0) - heldCount };
  }

  #enter(
    task: number,
    shape: number,
    fields: Pick<OracleTask, 'state' | 'node' | 'preset'>,
  ): OracleTask {
    const known = this.shapes.get(shape);
    if (known === undefined) throw new Error(`shape ${shape} is not known`);
    const entered = { task, shape: known, chosen: false, active: false, claims: [], ...fields };
    this.tasks.set(task, entered);
    const isListed = this.#waitingShapes.includes(shape);
    if (fields.state === 'waiting' && !isListed) this.#waitingShapes.push(shape);
    return entered;
  }

  #task(task: number): OracleTask {
    const known = this.tasks.get(task);
    if (known === undefined) throw new Error(`task ${task} is not known`);
    return known;
  }

  #on(node: number): OracleTask[] {
    return [...this.tasks.values()].filter((task) => task.state === 'held' && task.node === node);
  }

  #decide(task: OracleTask, node: number): OracleDecision {
    const claims = task.shape.profile.generic.map(({ kind, count }): GenericClaim => {
      const free = this.freeGeneric(node, kind);
      if (free.names.length === 0) return { kind, names: [], count };
      return { kind, names: free.names.slice(0, count), count: 0 };
    });
    Object.assign(task, { state: 'held', node, active: true, chosen: !task.preset, claims });
    return { task: task.task, node, claims };
  }

  #fits(profile: Profile, node: number, facts: NodeFacts): boolean {
    const free = this.free(node);
    if (profile.nanoCpus > 0 && profile.nanoCpus > free.nanoCpus) return false;
    if (profile.memoryBytes > 0 && profile.memoryBytes > free.memoryBytes) return false;
    return (
      facts !== undefined &&
      profile.generic.every(({ kind, count }) => this.freeGeneric(node, kind).count >= count)
    );
  }

  #best(shape: OracleShape, nowMs: number): number | undefined {
    const spread = shape.profile.spread.filter((label) => /^(node|engine)\.labels\./.test(label));
    return this.#bestOf(shape, spread, { nodes: [...this.nodes.keys()], nowMs });
  }

  #bestOf(
    shape: OracleShape,
    spread: readonly string[],
    { nodes, nowMs }: { nodes: readonly number[]; nowMs: number },
  ): number | undefined {
    const [label, ...deeper] = spread;
    if (label === undefined) {
      const fit = nodes.filter((node) => this.reason(shape, node) === 'passes');
      return fit.toSorted((a, b) => this.#compare(shape, nowMs, [a, b]))[0];
    }
    const branches = Map.groupBy(nodes, (node) => this.#label(node, label));
    const candidates = [...branches.values()].flatMap((members) => {
      const node = this.#bestOf(shape, deeper, { nodes: members, nowMs });
      const count = members.reduce((sum, member) => sum + this.replicas(shape.service, member), 0);
      return node === undefined ? [] : [{ node, count }];
    });
    candidates.sort((a, b) => a.count - b.count || this.#compare(shape, nowMs, [a.node, b.node]));
    return candidates[0]?.node;
  }

  #label(node: number, descriptor: string): string {
    const subject = this.nodes.get(node)?.subject;
    const [scope = '', , name = ''] = descriptor.split('.');
    return (scope === 'node' ? subject?.labels : subject?.engineLabels)?.get(name) ?? '';
  }

  /** Below 0 when the first node is better. */
  #compare(shape: OracleShape, nowMs: number, [a, b]: readonly [number, number]): number {
    const [failuresA, failuresB] = [a, b].map(
      (node) =>
        this.#failures.filter(
          (failure) =>
            failure.shape === shape.number &&
            failure.node === node &&
            failure.atMs > nowMs - 300_000,
        ).length,
    );
    if (failuresA === undefined || failuresB === undefined) throw new Error('two nodes');
    const byFailures = failuresA >= 5 || failuresB >= 5 ? failuresA - failuresB : 0;
    return (
      byFailures ||
      this.replicas(shape.service, a) - this.replicas(shape.service, b) ||
      this.activeTasks(a) - this.activeTasks(b) ||
      this.#room(b) - this.#room(a) ||
      a - b
    );
  }

  /** Larger for a node with more room: processor time first, in steps of two. */
  #room(node: number): number {
    const free = this.free(node);
    return step(free.nanoCpus, 250e6) * 8 + step(free.memoryBytes, 2 ** 28);
  }
}

function hasPlugin(facts: NodeFacts, wanted: { type: string; name: string }): boolean {
  if (facts.plugins === undefined) return true;
  const names = facts.plugins.filter(({ type }) => type === wanted.type).map(({ name }) => name);
  if (wanted.type === 'Log' && names.length === 0) return true;
  return names.includes(wanted.name) || names.includes(`${wanted.name}:latest`);
}

function hasRuntime(facts: NodeFacts, wanted: string): boolean {
  const listed = (facts.plugins ?? []).filter(({ type }) => type === 'Runtime');
  const names = listed.length === 0 ? ['docker'] : listed.map(({ name }) => name);
  return wanted === '' ? !names.includes('none') : names.includes(wanted);
}

function hasPlatform(facts: NodeFacts, profile: Profile): boolean {
  if (profile.platforms.length === 0) return true;
  if (!facts.hasPlatform) return false;
  return profile.platforms.some(
    ({ os, architecture }) =>
      (os === '' || os === facts.subject.os) &&
      (architecture === '' || alike(architecture) === alike(facts.subject.architecture)),
  );
}

function step(free: number, unit: number): number {
  return free < unit ? 0 : Math.min(7, 1 + Math.floor(Math.log2(Math.floor(free / unit))));
}

function alike(architecture: string): string {
  return architecture.replace('x86_64', 'amd64').replace('aarch64', 'arm64');
}
