/**
 * The secrets and configs of this node's tasks, in memory only, and what each task may see of them
 * (behaviour rule 11.4; SPEC.md, rules DEP1 to DEP4).
 */
import type { Config, Secret, Task } from '../../../shared/wire/gen/objects.ts';

/** A task may not have what it asked for, or it is not there (yet). */
export class DependencyError extends Error {
  override readonly name = 'DependencyError';
}

/** What one task may see. */
export type Dependencies = {
  /** @throws DependencyError */
  readonly secret: (id: string) => Secret;
  /** @throws DependencyError */
  readonly config: (id: string) => Config;
};

export class DependencyStore {
  readonly #secrets = new Map<string, Secret>();
  readonly #configs = new Map<string, Config>();

  putSecret(secret: Secret): void {
    this.#secrets.set(secret.id, secret);
  }

  putConfig(config: Config): void {
    this.#configs.set(config.id, config);
  }

  dropSecret(id: string): void {
    this.#secrets.delete(id);
  }

  dropConfig(id: string): void {
    this.#configs.delete(id);
  }

  /** Forgets everything: before a complete set arrives. */
  clear(): void {
    this.#secrets.clear();
    this.#configs.clear();
  }

  /**
   * What this task may see: the secrets and configs that its container spec refers to. A secret that
   * a driver made for this task alone (`<id>.<task>`) stands in for the common one, under its id.
   */
  viewFor(task: Task): Dependencies {
    const container = task.spec.runtime?.case === 'container' ? task.spec.runtime.value : undefined;
    const secrets = new Set(container?.secrets.map((reference) => reference.secretId));
    const configs = new Set(container?.configs.map((reference) => reference.configId));
    return {
      secret: (id) => {
        if (!secrets.has(id)) {
          throw new DependencyError(`task not authorized to access secret ${id}`);
        }
        const own = this.#secrets.get(`${id}.${task.id}`);
        const found = own === undefined ? this.#secrets.get(id) : { ...own, id };
        if (found === undefined) throw new DependencyError(`secret ${id} not found`);
        return found;
      },
      config: (id) => {
        if (!configs.has(id)) {
          throw new DependencyError(`task not authorized to access config ${id}`);
        }
        const found = this.#configs.get(id);
        if (found === undefined) throw new DependencyError(`config ${id} not found`);
        return found;
      },
    };
  }
}
