/**
 * What the clients read and write: named cells of one text each. A cell is an object of the store,
 * a config or a task, so that both of its engines are tried.
 */
import assert from 'node:assert/strict';
import { Config, Task } from '../../src/shared/wire/gen/objects.ts';
import type { Transaction } from '../../src/main/store/transaction.ts';
import type { View } from '../../src/main/store/view.ts';

/** Version and text of a cell. */
export type Content = { readonly version: number; readonly value: string };

export type Action =
  | { readonly kind: 'create'; readonly value: string }
  /** Replaces what was read. */
  | { readonly kind: 'update'; readonly read: Content; readonly value: string }
  /** Replaces whatever is there. */
  | { readonly kind: 'set'; readonly value: string }
  | { readonly kind: 'remove' }
  /** Behind an entry in the log. */
  | { readonly kind: 'read' }
  /** At the read index, by any manager. */
  | { readonly kind: 'index-read' };

/** The cells, by name; the first two are never removed. */
export const KEYS: readonly string[] = ['config-a', 'task-b', 'config-c', 'task-d'];

export const isLasting = (key: string): boolean => KEYS.indexOf(key) < 2;

const isTask = (key: string): boolean => key.startsWith('task');

export function readCell(view: View, key: string): Content | null {
  if (isTask(key)) {
    const row = view.tasks.get(key);
    return row === undefined ? null : { version: row.version, value: row.message };
  }
  const config = view.configs.get(key);
  if (config === undefined) return null;
  const value = Buffer.from(config.spec.data ?? []).toString();
  return { version: config.meta.version.index, value };
}

/** Does a write; throws the store's refusals. @returns what the cell holds then. */
export function writeCell(tx: Transaction, key: string, action: Action): Content | null {
  if (isTask(key)) writeTask(tx, key, action);
  else writeConfig(tx, key, action);
  return readCell(tx, key);
}

function writeConfig({ configs }: Transaction, key: string, action: Action): void {
  switch (action.kind) {
    case 'create':
      return configs.create(configOf(key, action.value, 0));
    case 'update':
      return configs.update(configOf(key, action.value, action.read.version));
    case 'set':
      return configs.update(configOf(key, action.value, configs.get(key)?.meta.version.index ?? 0));
    case 'remove':
      return configs.remove(key);
    case 'read':
    case 'index-read':
      assert.fail('a read writes nothing');
  }
}

function writeTask({ tasks }: Transaction, key: string, action: Action): void {
  switch (action.kind) {
    case 'create':
      return tasks.create(taskOf(key, action.value, 0));
    case 'update':
      return tasks.update(taskOf(key, action.value, action.read.version));
    case 'set':
      return tasks.patch(key, { message: action.value });
    case 'remove':
      return tasks.remove(key);
    case 'read':
    case 'index-read':
      assert.fail('a read writes nothing');
  }
}

function configOf(id: string, value: string, version: number): Config {
  const spec = { annotations: { name: id }, data: Buffer.from(value) };
  return Config.create({ id, meta: { version: { index: version } }, spec });
}

function taskOf(id: string, message: string, version: number): Task {
  const meta = { version: { index: version } };
  return Task.create({ id, meta, serviceId: 'service', slot: 1, status: { message } });
}

/** All that `view` shows, as one text. */
export function printView(view: View): string {
  const configs = [...view.configs.all()].map(
    (config) => `${config.id} ${Buffer.from(Config.encode(config)).toString('hex')}`,
  );
  const tasks = view.tasks
    .byService('service')
    .map((row) => `${row.id} ${Buffer.from(Task.encode(row.toTask())).toString('hex')}`);
  assert.equal(tasks.length, view.tasks.size, 'an index lost a task');
  return [...configs.toSorted(), ...tasks.toSorted()].join('\n');
}
