// The routing that TPROXY needs: packets marked for a proxy are delivered on this host, whatever their destination
// (Linux Documentation/networking/tproxy.rst).
import { firewallErrors } from './errors.ts';
import { PROXY_MARK, PROXY_ROUTING_TABLE } from './plan.ts';
import type { Family } from './plan.ts';
import type { RunCommand } from './run.ts';

const everything = { 4: '0.0.0.0/0', 6: '::/0' } as const;

/** Makes what is missing and changes nothing that is there. */
export async function ensureProxyRoutes(run: RunCommand, families: readonly Family[]): Promise<void> {
  for (const family of families) {
    const rules = await command(run, ['ip', `-${family}`, 'rule', 'show', 'fwmark', String(PROXY_MARK)]);
    if (!rules.includes(`lookup ${PROXY_ROUTING_TABLE}`)) {
      const rule = ['fwmark', String(PROXY_MARK), 'lookup', String(PROXY_ROUTING_TABLE)];
      await command(run, ['ip', `-${family}`, 'rule', 'add', ...rule]);
    }
    const route = ['local', everything[family], 'dev', 'lo', 'table', String(PROXY_ROUTING_TABLE)];
    await command(run, ['ip', `-${family}`, 'route', 'replace', ...route]);
  }
}

/** Takes both back; what is not there is no fault. */
export async function removeProxyRoutes(run: RunCommand): Promise<void> {
  for (const family of [4, 6] as const) {
    const rule = ['fwmark', String(PROXY_MARK), 'lookup', String(PROXY_ROUTING_TABLE)];
    await run(['ip', `-${family}`, 'rule', 'delete', ...rule]);
    await run(['ip', `-${family}`, 'route', 'flush', 'table', String(PROXY_ROUTING_TABLE)]);
  }
}

async function command(run: RunCommand, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(argv);
  if (code === 0) return stdout;
  throw firewallErrors.error('FIREWALL_ROUTES', `${argv.join(' ')}: ${stderr.trim() || `exit code ${code}`}`);
}
