/** What a process holds of the machine, as the kernel tells it. */
import { readdirSync, readFileSync } from 'node:fs';

export type Gauges = {
  readonly rssMiB: number;
  readonly openFiles: number;
  readonly threads: number;
};

/** @throws Error when there is no such process */
export function gaugesOf(pid: number): Gauges {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const number = (name: string): number => {
    const found = new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1];
    if (found === undefined) throw new Error(`process ${pid} tells no ${name}`);
    return Number(found);
  };
  return {
    rssMiB: Math.round(number('VmRSS') / 1024),
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    threads: number('Threads'),
  };
}
