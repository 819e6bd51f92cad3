// Peers that are not neighbours: behind a router, or behind one that translates addresses. An address says nothing about who is
// there, so only a grant whose subject proves itself with its SVID opens a port to it, and its proxy tells who it is. And what
// a firewall on the way must not break: path MTU discovery (RFC 1191, RFC 8201).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Slice, SliceGrant, SliceInterface } from '../../policy/bundle/index.ts';
import { requires } from '../support/capabilities.ts';
import { createNetwork } from '../support/netns.ts';
import type { Network } from '../support/netns.ts';
import { createTestAuthority } from '../support/pki.ts';
import type { TestSvid } from '../support/pki.ts';
import { firewallOn, grant, planWith, ports, service, sliceWith, trusted } from './cell.ts';
import type { Cell } from './cell.ts';

const SMALL_MTU = 1280;
const outside = '10.20.0.6';
const remote = { 4: '10.40.0.4', 6: 'fd40::4' } as const;
const plc = { 4: '10.20.0.2', 6: 'fd20::2' } as const;

const hosts = {
  plc: {
    interfaces: { eth0: { network: 'cell', addresses: ['10.20.0.2/24', 'fd20::2/64'], mac: '02:00:00:00:00:02' } },
    gateways: [outside, 'fd20::6'],
  },
  router: {
    interfaces: {
      eth0: { network: 'cell', addresses: [`${outside}/24`, 'fd20::6/64'], mac: '02:00:00:00:00:06' },
      eth1: { network: 'far', addresses: ['10.40.0.1/24', 'fd40::1/64'] },
    },
    forwarding: true,
  },
  remote: {
    interfaces: { eth0: { network: 'far', addresses: ['10.40.0.4/24', 'fd40::4/64'], mac: '02:00:00:00:00:44' } },
    gateways: ['10.40.0.1', 'fd40::1'],
  },
  /** Another machine of the site where the remote device is; nobody knows it. */
  stranger: {
    interfaces: { eth0: { network: 'far', addresses: ['10.40.0.5/24', 'fd40::5/64'] } },
    gateways: ['10.40.0.1', 'fd40::1'],
  },
} as const;
type Site = Network<keyof typeof hosts>;

const page: SliceInterface = {
  ...service('status', ports.status, 'tcp'),
  protocol: 'http',
  operations: [{ name: 'use', protocol: 'http', methods: ['GET'], paths: ['/'], class: 'normal', island: false }],
};

/** The PLC serves a status page to the remote device, which the inventory knows by these addresses on the far network. */
function slice(binding: SliceGrant['binding'], known: readonly string[]): Slice {
  const macs = { mac: '02:00:00:00:00:44' };
  return sliceWith([{ ...grant('remote', 'status'), binding }], {
    devices: [
      {
        id: 'plc',
        labels: {},
        interfaces: Object.values(plc).map((address) => ({ name: 'eth0', network: 'cell', address })),
      },
      {
        id: 'remote',
        labels: {},
        interfaces: known.map((address) => ({ name: 'eth0', network: 'far', address, ...macs })),
      },
    ],
    interfaces: [page, service('telemetry', ports.telemetry, 'udp')],
  });
}

const plan = (binding: SliceGrant['binding'], known: readonly string[], epoch: number) =>
  planWith(slice(binding, known), { epoch, states: { ...trusted, remote: 'trusted' } });

async function must(site: Site, on: keyof typeof hosts, argv: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await site.exec(on, argv, input === undefined ? {} : { input });
  assert.equal(code, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout;
}

const masquerade = `table inet site {
  chain out {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" masquerade
  }
}
`;

test('an address behind a router opens nothing by itself, translated or not; a grant bound to the SVID opens the port', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft')) return;
  await using site = await createNetwork({ hosts });
  await using firewall = await firewallOn(site as unknown as Cell, 'plc');
  await site.echo('plc', 'tcp', ports.status);
  await site.echo('plc', 'udp', ports.telemetry);
  /** What the remote device finds over IPv4 and IPv6, the stranger, and the remote device on another port. */
  const finds = async (expected: readonly [string, string, string, string], when: string): Promise<void> => {
    // A busy machine is no denial: what has to be open is waited for.
    const patience = expected.map((result) => (result === 'silent' ? {} : { timeoutMs: 10_000 }));
    const found = await Promise.all([
      site.probeTcp('remote', plc[4], ports.status, patience[0]),
      site.probeTcp('remote', plc[6], ports.status, patience[1]),
      site.probeTcp('stranger', plc[4], ports.status, patience[2]),
      site.agent('remote').probeUdp(plc[4], ports.telemetry, patience[3]),
    ]);
    assert.deepEqual(found, expected, when);
  };
  await finds(['open', 'open', 'open', 'answered'], 'control');

  let epoch = 0;
  for (const binding of ['ip', 'port+mac+ip'] as const) {
    const closed = plan(binding, [remote[4], remote[6], outside], (epoch += 1));
    assert.match(closed.warnings.join(), /remote stays out, its network is not attached here/);
    await firewall.apply(closed);
    await finds(['silent', 'silent', 'silent', 'silent'], binding);
  }
  await firewall.apply(plan('svid', [remote[4], remote[6]], (epoch += 1)));
  await finds(['open', 'open', 'silent', 'silent'], 'svid');

  // Behind address translation everyone has the router's address. Its own is no longer seen, so it is shut out too.
  await must(site, 'router', ['nft', '-f', '-'], masquerade);
  await finds(['silent', 'silent', 'silent', 'silent'], 'translated');
  for (const binding of ['ip', 'port+mac+ip'] as const) {
    await firewall.apply(plan(binding, [outside, 'fd20::6'], (epoch += 1)));
    await finds(['silent', 'silent', 'silent', 'silent'], `translated, ${binding}`);
  }
  // The port of the proxy is open to the translated address, whoever is behind it; no other port is.
  await firewall.apply(plan('svid', [outside, 'fd20::6'], (epoch += 1)));
  await finds(['open', 'open', 'open', 'silent'], 'translated, svid');
});

function nginx(t: TestContext, rootPem: string, own: TestSvid): { folder: string; config: string } {
  const folder = mkdtempSync(join(tmpdir(), 'routed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const config = file(
    'nginx.conf',
    `daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen ${ports.status} ssl;
    ssl_certificate ${file('own.pem', own.chainPem)};
    ssl_certificate_key ${file('own.key', own.keyPem)};
    ssl_client_certificate ${file('root.pem', rootPem)};
    ssl_verify_client on;
    ssl_verify_depth 2;
    location / { return 200 "served"; }
  }
}
`,
  );
  return { folder, config };
}

test('behind one translated address the proxy with mTLS tells the device from the machine beside it', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'nginx', 'curl')) return;
  await using site = await createNetwork({ hosts });
  await using firewall = await firewallOn(site as unknown as Cell, 'plc');
  const authority = createTestAuthority('plant.example');
  const { folder, config } = nginx(t, authority.rootPem, authority.issue('spiffe://plant.example/device/plc'));
  await using server = site.spawn('plc', ['nginx', '-c', config]);
  assert.equal(server.output(), '');
  await must(site, 'router', ['nft', '-f', '-'], masquerade);
  await firewall.apply(plan('svid', [outside], 1));

  const svids = {
    own: authority.issue('spiffe://plant.example/device/remote'),
    foreign: createTestAuthority('plant.example').issue('spiffe://plant.example/device/remote'),
  };
  const ask = async (from: 'remote' | 'stranger', name?: keyof typeof svids): Promise<string> => {
    const identity =
      name === undefined ? [] : ['--cert', join(folder, `${name}.crt`), '--key', join(folder, `${name}.key`)];
    const url = `https://${plc[4]}:${ports.status}/`;
    const retry = ['--retry', '20', '--retry-delay', '1', '--retry-connrefused', '--max-time', '20'];
    const argv = ['curl', '-sk', ...retry, ...identity, '-w', ' %{http_code}', url];
    return (await site.exec(from, argv)).stdout.split('\n').at(-1) ?? '';
  };
  for (const [name, { chainPem, keyPem }] of Object.entries(svids)) {
    writeFileSync(join(folder, `${name}.crt`), chainPem);
    writeFileSync(join(folder, `${name}.key`), keyPem, { mode: 0o600 });
  }
  assert.equal(await ask('remote', 'own'), 'served 200');
  assert.match(await ask('stranger'), /400$/);
  assert.match(await ask('stranger', 'foreign'), /400$/);
});

/** What a page of 300,000 bytes became on the way. */
async function fetched(site: Site, target: string, seconds: number): Promise<number> {
  const url = `http://${target.includes(':') ? `[${target}]` : target}:${ports.status}/page`;
  const { stdout } = await site.exec('remote', [
    'curl',
    '-s',
    '--max-time',
    String(seconds),
    '-o',
    '/dev/null',
    '-w',
    '%{size_download}',
    url,
  ]);
  return Number(stdout);
}

test('path MTU discovery works through the rules: a page passes a link of 1,280 bytes, and not without the ICMP errors', async (t) => {
  if (!requires(t, 'root', 'netns', 'nft', 'python3', 'curl')) return;
  await using site = await createNetwork({ hosts });
  await using firewall = await firewallOn(site as unknown as Cell, 'plc');
  const folder = mkdtempSync(join(tmpdir(), 'routed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const size = 300_000;
  writeFileSync(join(folder, 'page'), Buffer.alloc(size, 'page'));
  await using server = site.spawn('plc', [
    'python3',
    '-u',
    '-m',
    'http.server',
    String(ports.status),
    '-b',
    '::',
    '-d',
    folder,
  ]);
  await server.waitFor(/Serving/);
  await firewall.apply(plan('svid', [remote[4], remote[6]], 1));
  const both = (seconds = 20): Promise<number[]> =>
    Promise.all([fetched(site, plc[4], seconds), fetched(site, plc[6], seconds)]);
  assert.deepEqual(await both(), [size, size], 'control');
  await must(site, 'router', ['ip', 'link', 'set', 'eth1', 'mtu', String(SMALL_MTU)]);

  // Somebody who drops "fragmentation needed" and "packet too big" breaks it: the test can tell.
  const dropErrors = `table inet careless {
  chain before {
    type filter hook prerouting priority -160; policy accept;
    icmp type destination-unreachable drop
    icmpv6 type packet-too-big drop
  }
}
`;
  await must(site, 'plc', ['nft', '-f', '-'], dropErrors);
  for (const bytes of await both(3)) assert.ok(bytes < size, `${bytes} bytes passed without path MTU discovery`);

  // From before the careless table goes: what was sent meanwhile is sent again, and its errors count too.
  const errors = await site.watch('plc', { match: 'meta l4proto { icmp, icmpv6 } ct state related' });
  await must(site, 'plc', ['nft', 'delete', 'table', 'inet', 'careless']);
  assert.deepEqual(await both(), [size, size]);
  assert.ok((await errors.count()) >= 2, 'no ICMP error was needed');
  await errors.stop();
  for (const to of Object.values(remote)) assert.match(await must(site, 'plc', ['ip', 'route', 'get', to]), /mtu 1280/);
});
