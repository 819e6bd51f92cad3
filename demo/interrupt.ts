// Ctrl-C, SIGTERM and a closed terminal clean up like the end of the demo does; a second signal does not wait.
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** From now on a signal runs `clean` and ends the process; `interrupted` says that the rest has nothing to report. */
export function cleanOnSignal(
  terminal: { write(text: string): unknown },
  clean: () => Promise<void>,
): { readonly interrupted: () => boolean } {
  let stopping = false;
  for (const signal of signals) {
    process.on(signal, () => {
      if (stopping) process.exit(exitCodes[signal]);
      stopping = true;
      terminal.write('\nStopping: programs, namespaces and files are removed.\n');
      void clean().finally(() => process.exit(exitCodes[signal]));
    });
  }
  return { interrupted: () => stopping };
}
