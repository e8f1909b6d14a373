/** What is remembered of a task's process across a crash of the worker: one small file a task. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessIdentity } from './identity.ts';

export type ProcessRecord =
  | { readonly state: 'prepared' }
  /** About to be started: whether it was is to be found out. */
  | { readonly state: 'starting' }
  | { readonly state: 'started'; readonly identity: ProcessIdentity }
  /** Without an exit code nobody saw it end. */
  | { readonly state: 'ended'; readonly pid: number; readonly exitCode: number | undefined };

const NAME = 'record.json';

export function readRecord(directory: string): ProcessRecord | undefined {
  const path = join(directory, NAME);
  if (!existsSync(path)) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by writeRecord alone
  return JSON.parse(readFileSync(path, 'utf8')) as ProcessRecord;
}

/** Replaces the record as a whole; does nothing when the task was removed meanwhile. */
export function writeRecord(directory: string, record: ProcessRecord): void {
  if (!existsSync(directory)) return;
  const path = join(directory, NAME);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}
