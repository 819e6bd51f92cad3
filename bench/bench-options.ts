/** What every bench of run.ts is given. */
export interface BenchOptions {
  /** Smaller and less certain, in a minute or so. */
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}
