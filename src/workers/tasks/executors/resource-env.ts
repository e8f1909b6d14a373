/** How a task learns which generic resources it was given. */
import type { Task } from '../../../shared/wire/gen/objects.ts';

/** `DOCKER_RESOURCE_<KIND>=<names or count>`, one entry a kind. */
export function resourceEnv(task: Task): string[] {
  const byKind = new Map<string, string[]>();
  for (const { resource } of task.assignedGenericResources) {
    if (resource === undefined) continue;
    const { kind, value } = resource.value;
    byKind.set(kind, [...(byKind.get(kind) ?? []), String(value)]);
  }
  return [...byKind].map(
    ([kind, values]) => `DOCKER_RESOURCE_${kind.toUpperCase()}=${values.join(',')}`,
  );
}
