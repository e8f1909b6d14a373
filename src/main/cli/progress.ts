/** Shows how services come up: a bar for each on a terminal, a line for each transition elsewhere. */
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Judgement } from './core/convergence.ts';
import { wordFor } from './present/message-json.ts';
import { wrap } from './present/table.ts';
import { paint, type Terminal } from './terminal.ts';

export type Progress = {
  readonly update: (service: string, judgement: Judgement) => void;
  /** Nothing more will be shown; what was shown stays. */
  readonly end: () => void;
};

/** Above so many tasks their transitions would drown the counts. */
const TASKS_SHOWN_MAX = 20;
const BAR_WIDTH = 24;
const WIDTH_DEFAULT = 80;

/** For a terminal, a file, or nobody. */
export function progressOn(terminal: Terminal, isQuiet: boolean): Progress {
  if (isQuiet) return { update: () => undefined, end: () => undefined };
  return terminal.live ? new Bars(terminal) : new Lines(terminal);
}

class Lines implements Progress {
  readonly #terminal: Terminal;
  readonly #counts = new Map<string, string>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(service: string, { ready, wanted, transitions }: Judgement): void {
    if (wanted <= TASKS_SHOWN_MAX) {
      for (const { task, state, error } of transitions) {
        const word = wordFor(TaskState, state);
        this.#terminal.err(`${task}: ${word}${error === '' ? '' : `: ${error}`}\n`);
      }
    }
    const count = `${ready}/${wanted}`;
    if (this.#counts.get(service) === count) return;
    this.#counts.set(service, count);
    this.#terminal.err(`${service}: ${count} ready\n`);
  }

  end(): void {
    this.#counts.clear();
  }
}

class Bars implements Progress {
  readonly #terminal: Terminal;
  readonly #services = new Map<string, Judgement>();
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(service: string, judgement: Judgement): void {
    this.#services.set(service, judgement);
    const nameWidth = Math.max(...[...this.#services.keys()].map((name) => name.length));
    const lines = [...this.#services].flatMap(([name, each]) =>
      this.#draw(name.padEnd(nameWidth), each),
    );
    const up = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A\u001B[0J`;
    this.#terminal.err(`${up}${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #draw(name: string, { ready, wanted, outcome, problem }: Judgement): readonly string[] {
    const share = wanted === 0 ? 1 : Math.min(1, ready / wanted);
    const full = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
    const color = outcome === 'converged' ? 'green' : outcome === 'waiting' ? 'cyan' : 'red';
    const line = `${name}  ${paint(this.#terminal, color, bar)}  ${ready}/${wanted}`;
    if (problem === '') return [line];
    const width = Math.max(WIDTH_DEFAULT, this.#terminal.columns ?? WIDTH_DEFAULT) - 4;
    return [
      line,
      ...wrap(problem, width).map((part) => `    ${paint(this.#terminal, 'yellow', part)}`),
    ];
  }

  end(): void {
    this.#drawn = 0;
    this.#services.clear();
  }
}
