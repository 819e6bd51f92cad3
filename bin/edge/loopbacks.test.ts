// A host without IPv6, as many a plant has, gets its proxies all the same.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { requires } from '../../test/support/capabilities.ts';

test('loopbacks: of both families, and of IPv4 alone where IPv6 is switched off', (t) => {
  if (!requires(t, 'netns')) return;
  const module = join(import.meta.dirname, 'loopbacks.ts');
  const asked = (before: string): unknown => {
    const code = `import { loopbacks } from ${JSON.stringify(module)}; console.log(JSON.stringify(loopbacks()))`;
    const script = `ip link set lo up && ${before} exec "$0" --input-type=module -e "$1"`;
    return JSON.parse(
      execFileSync('unshare', ['--net', 'sh', '-c', script, process.execPath, code], { encoding: 'utf8' }),
    );
  };
  assert.deepEqual(asked(''), ['127.0.0.1', '::1']);
  assert.deepEqual(asked('echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 &&'), ['127.0.0.1']);
});
