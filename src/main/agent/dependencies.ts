/** The secrets and configs that this node's tasks may need: in memory, and nowhere else. */
import type { Config, Secret } from '../../shared/wire/gen/objects.ts';

export class Dependencies {
  readonly #secrets = new Map<string, Secret>();
  readonly #configs = new Map<string, Config>();

  secrets(): Iterable<Secret> {
    return this.#secrets.values();
  }

  configs(): Iterable<Config> {
    return this.#configs.values();
  }

  /** A complete set follows. */
  clear(): void {
    this.#secrets.clear();
    this.#configs.clear();
  }

  changeSecrets(put: readonly Secret[], drop: readonly string[]): void {
    for (const secret of put) this.#secrets.set(secret.id, secret);
    for (const id of drop) this.#secrets.delete(id);
  }

  changeConfigs(put: readonly Config[], drop: readonly string[]): void {
    for (const config of put) this.#configs.set(config.id, config);
    for (const id of drop) this.#configs.delete(id);
  }
}
