import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isRemote, readCommit } from './git-source.ts';
import { git, withoutCredentials } from './git.ts';
import { loadRepository } from './load.ts';
import { sampleGit } from './sample-git.ts';
import { sampleFiles, sampleNow } from './sample-tree.ts';

const refused = (code: string, message?: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code, String(error));
  if (message) assert.match((error as Error).message, message);
  return true;
};

test('the files, commit, author and date of HEAD', async () => {
  using repository = sampleGit();
  const tree = await readCommit({ source: repository.directory, temporaryDirectory: repository.temporary });
  assert.deepEqual([...tree.files.keys()], Object.keys(sampleFiles).sort());
  assert.equal(Buffer.from(tree.files.get('edgeward.yaml') ?? []).toString(), sampleFiles['edgeward.yaml']);
  assert.equal(tree.commit, repository.git('rev-parse', 'HEAD'));
  assert.equal(tree.author, 'Ada Example <ada@plant.example>');
  assert.equal(tree.committedAt, Number(repository.git('show', '-s', '--format=%ct')) * 1000);
  assert.deepEqual(loadRepository(tree, sampleNow).problems, []);
});

test('a dirty tree is refused, and every file that differs is listed', async () => {
  using repository = sampleGit();
  repository.write('edgeward.yaml', 'format: 1\ntrustDomain: other.example\n');
  repository.write('grants/new.yaml', 'grants: []\n');
  repository.git('rm', '--quiet', 'firewall/cell.yaml');
  const reading = readCommit({ source: repository.directory, temporaryDirectory: repository.temporary });
  await assert.rejects(
    reading,
    refused('POLICY_TREE_DIRTY', /edgeward\.yaml.*|firewall\/cell\.yaml.*|grants\/new\.yaml/),
  );
  await assert.rejects(reading, /firewall\/cell\.yaml/);
  await assert.rejects(reading, /grants\/new\.yaml/);
});

test('what git ignores does not make a tree dirty', async () => {
  using repository = sampleGit({ ...sampleFiles, '.gitignore': '*.swp\n' });
  repository.write('grants/.cell.yaml.swp', 'x');
  await readCommit({ source: repository.directory, temporaryDirectory: repository.temporary });
});

test('a branch, a tag and a commit can be named', async () => {
  using repository = sampleGit();
  const first = repository.git('rev-parse', 'HEAD');
  repository.git('tag', 'v1');
  repository.write('edgeward.yaml', 'format: 1\ntrustDomain: second.example\n');
  const second = repository.commit('Rename');
  for (const [ref, commit] of [
    ['v1', first],
    [first, first],
    ['main', second],
    [second.slice(0, 12), second],
  ] as const) {
    const tree = await readCommit({ source: repository.directory, ref, temporaryDirectory: repository.temporary });
    assert.equal(tree.commit, commit, ref);
  }
});

test('a repository in a folder of a larger one', async () => {
  using repository = sampleGit(sampleFiles, 'sites/cell');
  repository.write('untracked-elsewhere', 'not policy');
  const source = join(repository.directory, 'sites/cell');
  const tree = await readCommit({ source, temporaryDirectory: repository.temporary });
  assert.deepEqual([...tree.files.keys()], Object.keys(sampleFiles).sort());
});

test('a remote is fetched into a temporary directory that does not stay', async () => {
  using repository = sampleGit();
  repository.git('tag', 'v1');
  const source = pathToFileURL(repository.directory).href;
  for (const ref of [undefined, 'main', 'v1']) {
    const tree = await readCommit({ source, ...(ref ? { ref } : {}), temporaryDirectory: repository.temporary });
    assert.equal(tree.commit, repository.git('rev-parse', 'HEAD'));
    assert.equal(tree.files.size, Object.keys(sampleFiles).length);
  }
  await assert.rejects(
    readCommit({ source, ref: 'nowhere', temporaryDirectory: repository.temporary }),
    refused('POLICY_GIT_FAILED', /nowhere/),
  );
  assert.deepEqual(readdirSync(repository.temporary), []);
});

test('a bare repository on disk', async () => {
  using repository = sampleGit();
  const bare = join(repository.temporary, 'bare.git');
  repository.git('clone', '--quiet', '--bare', repository.directory, bare);
  const tree = await readCommit({ source: bare, temporaryDirectory: repository.temporary });
  assert.equal(tree.commit, repository.git('rev-parse', 'HEAD'));
});

test('addresses and references that could do something else are refused', async () => {
  using repository = sampleGit();
  const temporaryDirectory = repository.temporary;
  for (const source of [
    'http://git.example/policy',
    'git://git.example/policy',
    'ext::sh -c touch% pwned',
    'ssh://-oProxyCommand=touch/policy',
    'ssh://git@-oProxyCommand=touch/policy',
    'git@-oProxyCommand=touch:policy',
    'git@git.example:-upload-pack=touch',
    'https://',
    '/nowhere/at/all',
  ]) {
    await assert.rejects(readCommit({ source, temporaryDirectory }), refused('POLICY_SOURCE_REFUSED'), source);
  }
  for (const ref of ['--output=/tmp/x', '-h', 'a..b', 'main:secret', '', 'x'.repeat(300), 'a b', '@{u}']) {
    await assert.rejects(
      readCommit({ source: repository.directory, ref, temporaryDirectory }),
      refused('POLICY_SOURCE_REFUSED'),
      ref,
    );
  }
  assert.ok(isRemote('git@git.example:policy.git'));
  assert.ok(!isRemote('./policy') && !isRemote('/srv/a@b:c'));
});

test('a directory that is no repository says so', async () => {
  using repository = sampleGit();
  const source = repository.temporary;
  await assert.rejects(
    readCommit({ source, temporaryDirectory: source }),
    refused('POLICY_GIT_FAILED', /not a git repository/),
  );
});

test('symbolic links and submodules are refused', async () => {
  using linked = sampleGit();
  symlinkSync('/etc/passwd', join(linked.directory, 'grants/more.yaml'));
  linked.commit('Link');
  await assert.rejects(
    readCommit({ source: linked.directory, temporaryDirectory: linked.temporary }),
    refused('POLICY_SOURCE_UNSAFE'),
  );
  using nested = sampleGit();
  const commit = nested.git('rev-parse', 'HEAD');
  nested.git('update-index', '--add', '--cacheinfo', `160000,${commit},grants/sub`);
  nested.git('commit', '--quiet', '--message', 'Submodule');
  mkdirSync(join(nested.directory, 'grants/sub'));
  await assert.rejects(
    readCommit({ source: nested.directory, temporaryDirectory: nested.temporary }),
    refused('POLICY_SOURCE_UNSAFE'),
  );
});

test('an oversized file is refused before it is read', async () => {
  using repository = sampleGit({ ...sampleFiles, 'grants/large.yaml': `# ${'x'.repeat(1024 * 1024)}\n` });
  await assert.rejects(
    readCommit({ source: repository.directory, temporaryDirectory: repository.temporary }),
    refused('POLICY_SOURCE_TOO_LARGE'),
  );
});

test('nothing of the repository runs: hooks, fsmonitor', async () => {
  using repository = sampleGit();
  const witness = join(repository.temporary, 'ran');
  const script = join(repository.directory, '.git/hooks/post-index-change');
  writeFileSync(script, `#!/bin/sh\ntouch ${witness}\n`);
  chmodSync(script, 0o755);
  repository.git('config', 'core.hooksPath', join(repository.directory, '.git/hooks'));
  repository.git('config', 'core.fsmonitor', script);
  await readCommit({ source: repository.directory, temporaryDirectory: repository.temporary });
  assert.equal(existsSync(witness), false);
});

test('the caller’s git environment does not redirect, prompt or reach external transports', async () => {
  using repository = sampleGit();
  const environment = { ...process.env, GIT_DIR: '/nowhere', GIT_CEILING_DIRECTORIES: '/', GIT_ALLOW_PROTOCOL: 'ext' };
  const commit = await git({ directory: repository.directory, args: ['rev-parse', 'HEAD'], environment });
  assert.equal(commit.toString().trim(), repository.git('rev-parse', 'HEAD'));
  const external = git({ directory: repository.directory, args: ['ls-remote', 'ext::true'], environment });
  await assert.rejects(external, refused('POLICY_GIT_FAILED', /not allowed/));
});

test('credentials of an address stay out of messages', () => {
  const shown = withoutCredentials("fatal: unable to access 'https://ada:secret@git.example/policy/': refused");
  assert.doesNotMatch(shown, /secret|ada/);
  assert.match(shown, /https:\/\/git\.example/);
});

test('a reference to nothing is named, not shown as a git command line', async () => {
  using repository = sampleGit();
  const reading = readCommit({
    source: repository.directory,
    ref: 'nowhere',
    temporaryDirectory: repository.temporary,
  });
  await assert.rejects(reading, refused('POLICY_GIT_FAILED', /^"nowhere" names no commit of this repository$/));
});
