// What gateway-1 serves: foreign programs that know nothing of Edgeward, each of which says itself what reaches it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Mosquitto, startMosquitto } from '../../support/mosquitto.ts';
import { addressesOf, type CellNetwork } from './cell.ts';

export const ports = { mqtt: 1883, modbus: 502, http: 8080, tls: 443 } as const;
export const python = '/usr/bin/python3';

export const proxies = [
  '{interface: broker, listen: 11883}',
  '{interface: registers, listen: 15502}',
  '{interface: pages, listen: 18080}',
  '{interface: camera, listen: 18443}',
] as const;

export interface Servers {
  readonly broker: Mosquitto;
  /** `read ADDRESS COUNT` and `write ADDRESS VALUE`, in the order they came. */
  readonly modbus: () => readonly string[];
  /** Request lines of the page's server. */
  readonly http: () => readonly string[];
  /** `NAME PATH` of each request to the TLS server. */
  readonly tls: () => readonly string[];
}

export async function startServers(net: CellNetwork, scratch: string): Promise<Servers> {
  const [v4, v6] = addressesOf('gateway-1');
  const broker = await startMosquitto({
    address: v4,
    port: ports.mqtt,
    on: (argv) => net.commandOn('gateway-1', argv),
    config: [`listener ${ports.mqtt} ${v6}`],
  });
  const witness = join(import.meta.dirname, '../../standby/modbus-witness.py');
  const plcs = [v4, v6].map((address) => net.spawn('gateway-1', [python, witness, address, String(ports.modbus)]));
  const folder = join(scratch, 'www');
  mkdirSync(folder);
  writeFileSync(join(folder, 'status'), 'running\n');
  writeFileSync(join(folder, 'recipe'), 'secret\n');
  const pages = net.spawn('gateway-1', [python, '-u', '-m', 'http.server', String(ports.http), '--bind', '::'], {
    cwd: folder,
  });
  const accesses = await startNginx(net, scratch);
  await Promise.all([...plcs.map((plc) => plc.waitFor(/ready/)), pages.waitFor(/Serving HTTP/)]);
  const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
  return {
    broker,
    modbus: () => plcs.flatMap((plc) => lines(plc.output()).filter((line) => /^(read|write) /.test(line))),
    http: () => lines(pages.output()).flatMap((line) => /"([A-Z]+ \S+) HTTP/.exec(line)?.[1] ?? []),
    tls: () => lines(existsSync(accesses) ? readFileSync(accesses, 'utf8') : ''),
  };
}

/** nginx with a certificate of its own; gives the file of its accesses. */
async function startNginx(net: CellNetwork, scratch: string): Promise<string> {
  const [key, certificate] = [join(scratch, 'camera.key'), join(scratch, 'camera.pem')];
  const request = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await net.exec('gateway-1', [...request, '-days', '2', '-subj', '/CN=camera', '-keyout', key, '-out', certificate]);
  const accesses = join(scratch, 'camera.log');
  const config = join(scratch, 'nginx.conf');
  const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${scratch}/nginx.pid;
error_log stderr notice;
events { worker_connections 64; }
http {
  log_format names '$ssl_server_name $uri';
  access_log ${accesses} names;
  keepalive_requests 100000;
${bodies.map((name) => `  ${name}_temp_path ${scratch}/${name};`).join('\n')}
  server {
    listen [::]:${ports.tls} ssl ipv6only=off;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    location / { return 200 "picture $uri\\n"; }
  }
}
`,
  );
  const nginx = net.spawn('gateway-1', ['/usr/sbin/nginx', '-e', 'stderr', '-c', config]);
  await nginx.waitFor(/start worker process /);
  return accesses;
}
