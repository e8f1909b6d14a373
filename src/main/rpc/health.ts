/** Health service (behaviour 3.10): which parts of a manager serve, by name. */
import { HealthCheckResponseServingStatus as Serving } from '../../shared/wire/gen/health.ts';
import { Code, RpcError } from './errors.ts';
import { implement, type Implementation } from './service.ts';

/**
 * `Raft` stands on the remote port, `ControlAPI` on the control socket. `Skein` tells our managers
 * from a Docker Engine's, which can't share a quorum with them yet.
 */
export type HealthName = 'Raft' | 'ControlAPI' | 'Skein';

export class Health {
  readonly #serving = new Map<string, boolean>();

  /** Names the parts that exist; none of them serves yet. The empty name always serves. */
  constructor(names: readonly HealthName[]) {
    for (const name of names) this.#serving.set(name, false);
  }

  set(name: HealthName, serving: boolean): void {
    this.#serving.set(name, serving);
  }

  /** The service, for a listener. */
  get service(): Implementation {
    return implement('Health', { Check: ({ service }) => ({ status: this.#check(service) }) });
  }

  #check(name: string): Serving {
    if (name === '') return Serving.SERVING;
    const serving = this.#serving.get(name);
    if (serving === undefined) throw new RpcError(Code.NOT_FOUND, 'unknown service');
    return serving ? Serving.SERVING : Serving.NOT_SERVING;
  }
}
