/**
 * Brings what the nodes report about their tasks into the store, in bulk.
 *
 * Reports are acknowledged when they are queued: a node tells everything again when it registers
 * anew, so nothing is lost with a manager. Of several reports on one task within a window only the
 * last is written; that, and one transaction for all, is what makes thousands of reports a second
 * cheap. A state never goes back (behaviour rule 5.4).
 */
import type { Timestamp } from '../../shared/wire/gen/well-known.ts';
import type { TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Store } from '../store/transaction.ts';
import { timestampOf } from '../../shared/model/time.ts';

export const STATUS_WRITER = {
  /** How long a report waits for others when few come. */
  windowMs: 20,
  /** So many calls within a window are a stream of them: what has gathered waits for another window. */
  busyCalls: 32,
  /** What is enough for its transaction and its commit to cost little beside it. */
  enoughReports: 500,
  /** How many windows a report waits at most: as long as SwarmKit lets every one wait, 100 ms. */
  windowsMax: 5,
  /** This many go at once. */
  reportsMax: 10_000,
} as const;

export type Report = {
  readonly taskId: string;
  /** The task's place in the store when the report came. */
  readonly place: number;
  /** Who reports. */
  readonly nodeId: string;
  readonly status: TaskStatus;
};

export type StatusWriterOptions = {
  readonly store: Store;
  readonly nowMs: () => number;
  /** This manager, for `applied_by`. */
  readonly nodeId: string;
  readonly onError: (error: unknown) => void;
};

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  #reports = new Map<string, Report>();
  #timer: NodeJS.Timeout | undefined;
  /** Windows that the oldest report has waited. */
  #windows = 0;
  /** Calls that came within this window. */
  #calls = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Queues the reports of one call. One about a lower state than an earlier one of this window is old news. */
  report(reports: readonly Report[]): void {
    for (const report of reports) {
      const earlier = this.#reports.get(report.taskId);
      if (earlier !== undefined && earlier.status.state > report.status.state) continue;
      this.#reports.set(report.taskId, report);
    }
    if (this.#reports.size === 0) return;
    this.#calls += 1;
    if (this.#reports.size >= STATUS_WRITER.reportsMax) this.#flush();
    else this.#timer ??= setTimeout(this.#onWindow, STATUS_WRITER.windowMs);
  }

  /** The end of a window: under load it goes on, so that fewer commits carry more each. */
  readonly #onWindow = (): void => {
    const { windowMs, busyCalls, enoughReports, windowsMax } = STATUS_WRITER;
    this.#windows += 1;
    const isStream = this.#calls >= busyCalls && this.#reports.size < enoughReports;
    this.#calls = 0;
    if (isStream && this.#windows < windowsMax) this.#timer = setTimeout(this.#onWindow, windowMs);
    else this.#flush();
  };

  #reset(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#windows = 0;
    this.#calls = 0;
  }

  #flush(): void {
    this.#reset();
    const reports = this.#reports;
    if (reports.size === 0) return;
    this.#reports = new Map();
    const { store, nodeId, nowMs, onError } = this.#options;
    const appliedAt = timestampOf(nowMs());
    const written = store.batch(reports.values(), (tx, report) => {
      const { taskId, place, status } = report;
      const row = tx.tasks.get(taskId, place);
      if (row === undefined || row.nodeId !== report.nodeId || row.state > status.state) return;
      if (row.state === status.state && sameReport(row.status(), status)) return;
      tx.tasks.patch(taskId, { status: { ...status, appliedBy: nodeId, appliedAt } }, place);
    });
    this.#writing = Promise.all([this.#writing, written.catch(onError)]).then(() => undefined);
  }

  /** Resolves when all that was queued until now has been written or has failed. */
  async drain(): Promise<void> {
    this.#flush();
    await this.#writing;
  }

  /** Forgets what is queued: this manager no longer leads. */
  stop(): void {
    this.#reset();
    this.#reports.clear();
  }
}

const sameTime = (a: Timestamp | undefined, b: Timestamp | undefined): boolean =>
  a?.seconds === b?.seconds && a?.nanos === b?.nanos;

/** Whether a report repeats what is stored: engines tell old states again and again. */
function sameReport(stored: TaskStatus, report: TaskStatus): boolean {
  const a = stored.runtimeStatus?.value;
  const b = report.runtimeStatus?.value;
  return (
    sameTime(stored.timestamp, report.timestamp) &&
    stored.message === report.message &&
    stored.err === report.err &&
    a?.containerId === b?.containerId &&
    a?.pid === b?.pid &&
    a?.exitCode === b?.exitCode &&
    (stored.portStatus?.ports.length ?? 0) === (report.portStatus?.ports.length ?? 0)
  );
}
