/** What a worker with processes for tasks keeps outside of its state directory: memory files, groups. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const MEMORY = '/dev/shm';
const GROUPS = '/sys/fs/cgroup';

const folders = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));

const groupsOf = (nodeId: string): string[] =>
  existsSync(GROUPS)
    ? [GROUPS, ...folders(GROUPS)]
        .map((root) => join(root, `skein-${nodeId}`))
        .filter((path) => existsSync(path))
    : [];

const memoryOf = (nodeId: string): string[] =>
  [join(MEMORY, `skein-${nodeId}`)].filter((path) => existsSync(path));

/** The paths that are there because of this node. */
export const tracesOf = (nodeId: string): string[] => [...memoryOf(nodeId), ...groupsOf(nodeId)];

/** Removes them; the node's processes must be gone. */
export function removeTraces(nodeId: string): void {
  for (const path of memoryOf(nodeId)) rmSync(path, { recursive: true });
  // The files in a group's folder are the kernel's: only folders are removed.
  for (const path of groupsOf(nodeId)) {
    for (const group of folders(path)) rmdirSync(group);
    rmdirSync(path);
  }
}
