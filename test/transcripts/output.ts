/**
 * What a script's commands say: lines, indented in nested work, and nothing at log level none.
 */

/** The only level that matters here: at `none` even the harness is silent, errors aside. */
const SILENT = 'none';

export class Output {
  #lines: string[] = [];
  #indent = '';
  level = 'debug';

  get isSilent(): boolean {
    return this.level === SILENT;
  }

  lines(lines: readonly string[]): void {
    if (this.isSilent) return;
    for (const line of lines) this.#lines.push(this.#indent + line);
  }

  /** An error is said at every level. */
  error(text: string): void {
    this.#lines.push(this.#indent + text);
  }

  indented(work: () => void): void {
    const outer = this.#indent;
    this.#indent = `${outer}  `;
    work();
    this.#indent = outer;
  }

  /** Runs `work` at another log level. */
  atLevel(level: string, work: () => void): void {
    const outer = this.level;
    this.level = level;
    work();
    this.level = outer;
  }

  /** Takes out what was said. */
  take(): readonly string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}
