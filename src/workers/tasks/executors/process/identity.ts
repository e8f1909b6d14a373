/**
 * Which process is meant: a process id alone is given to somebody else one day, together with its
 * start time, counted from this boot of the machine, it is not.
 */
import { readdirSync, readFileSync } from 'node:fs';

export type ProcessIdentity = {
  readonly pid: number;
  /** Clock ticks from the boot to the process's start. */
  readonly startTicks: number;
  readonly bootId: string;
};

/** What the kernel says of a process that is there. */
export type ProcessState =
  | { readonly is: 'running' }
  /** Ended, not waited for yet: its exit code, 128 + n after signal n. */
  | { readonly is: 'ended'; readonly exitCode: number | undefined };

const BOOT_ID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** The process of that id now; undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = stat(pid);
  return fields && { pid, startTicks: Number(fields[START_TIME]), bootId: BOOT_ID };
}

/** Undefined when the very process that is meant is no more. */
export function stateOf({ pid, startTicks, bootId }: ProcessIdentity): ProcessState | undefined {
  if (bootId !== BOOT_ID) return undefined;
  const fields = stat(pid);
  if (fields === undefined || Number(fields[START_TIME]) !== startTicks) return undefined;
  if (fields[STATE] !== 'Z' && fields[STATE] !== 'X') return { is: 'running' };
  const status = fields[EXIT_CODE];
  return { is: 'ended', exitCode: status === undefined ? undefined : exitCodeOf(Number(status)) };
}

/** Processes of this machine that carry this entry in their environment, as far as we may look. */
export function processesWith(entry: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => readOptional(`/proc/${pid}/environ`)?.split('\0').includes(entry) === true);
}

/** Positions among the fields of `/proc/PID/stat` that follow the name. */
const STATE = 0;
const START_TIME = 19;
const EXIT_CODE = 49;

function stat(pid: number): string[] | undefined {
  // The name stands in parentheses and may hold any others.
  const text = readOptional(`/proc/${pid}/stat`);
  return text
    ?.slice(text.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
}

function exitCodeOf(waitStatus: number): number {
  const signal = waitStatus & 0x7f;
  return signal === 0 ? waitStatus >> 8 : 128 + signal;
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Gone meanwhile, or not ours to read.
    return undefined;
  }
}
