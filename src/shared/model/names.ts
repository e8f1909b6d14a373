/** What tasks and runtimes are called, where users name them (behaviour rule 1.3). */
import type { TaskSpec } from '../wire/gen/specs.ts';

/** What a task's name is made of; a `Task` is one. */
export type NamedTask = {
  readonly id: string;
  /** 0 for a task that belongs to a node rather than to a slot. */
  readonly slot: number;
  readonly nodeId: string;
  readonly annotations: { readonly name: string };
  readonly serviceAnnotations: { readonly name: string };
};

/** The task's own name if it has one, else `<service>.<slot>.<id>`, with the node's id for slot 0. */
export function taskName(task: NamedTask): string {
  if (task.annotations.name !== '') return task.annotations.name;
  const place = task.slot === 0 ? task.nodeId : String(task.slot);
  return `${task.serviceAnnotations.name}.${place}.${task.id}`;
}

/** `container`, `attachment`, or the kind of a generic runtime in lower case; '' when there is none. */
export function runtimeName(spec: Pick<TaskSpec, 'runtime'>): string {
  const runtime = spec.runtime;
  if (runtime === undefined) return '';
  return runtime.case === 'generic' ? runtime.value.kind.toLowerCase() : runtime.case;
}
