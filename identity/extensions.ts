// Certificate extensions (RFC 5280 section 4.2), read and written: the ones our profiles use, nothing else.
import {
  boolean,
  context,
  contextPrimitive,
  contextTag,
  type DerNode,
  DerFields,
  integer,
  namedBits,
  octetString,
  oid,
  parseDer,
  readNamedBits,
  readOid,
  readSmallInteger,
  sequence,
  tags,
} from './der.ts';
import { identityError } from './errors.ts';
import { oids } from './oids.ts';

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** Contents of extnValue. */
  readonly value: Buffer;
}

/** Names of a certificate. `count` counts every name, also of kinds that are not listed here. */
export interface SubjectAltName {
  readonly critical: boolean;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly Buffer[];
  readonly count: number;
}

/** Subtrees by kind of name (RFC 5280 section 4.2.1.10). */
export interface Subtrees {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Address followed by mask. */
  readonly ipRanges: readonly Buffer[];
  /** Whether there are subtrees of other kinds; we cannot check those. */
  readonly others: boolean;
}

export interface NameConstraints {
  readonly critical: boolean;
  readonly permitted: Subtrees;
  readonly excluded: Subtrees;
}

export interface KnownExtensions {
  readonly isCa: boolean;
  readonly pathLen: number | undefined;
  readonly keyUsage: readonly number[] | undefined;
  readonly extKeyUsage: readonly string[] | undefined;
  readonly subjectAltName: SubjectAltName | undefined;
  readonly subjectKeyId: Buffer | undefined;
  readonly authorityKeyId: Buffer | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  readonly extensions: readonly Extension[];
}

/** Tags of GeneralName (RFC 5280 section 4.2.1.6). */
const generalName = { dns: contextTag(2, false), uri: contextTag(6, false), ip: contextTag(7, false) } as const;

function invalid(reason: string): Error {
  return identityError('IDENTITY_CERTIFICATE_INVALID', `certificate refused: ${reason}`);
}

// ---- reading ---------------------------------------------------------------------------------------------------

/** Reads `Extensions`, a SEQUENCE OF Extension; an extension that occurs twice is refused (section 4.2). */
export function readExtensionList(node: DerNode): Extension[] {
  const seen = new Set<string>();
  return node.children.map((child) => {
    const fields = new DerFields(child, tags.sequence, 'Extension');
    const name = readOid(fields.next(tags.oid, 'extnID'));
    const flag = fields.optional(tags.boolean);
    // DEFAULT FALSE: DER leaves the default out.
    if (flag && flag.contents[0] === 0) throw invalid(`extension ${name} writes its default`);
    const value = fields.next(tags.octetString, 'extnValue').contents;
    fields.end();
    if (seen.has(name)) throw invalid(`extension ${name} occurs twice`);
    seen.add(name);
    return { oid: name, critical: flag !== undefined, value };
  });
}

/** Reads `[3] EXPLICIT Extensions` of a certificate. */
export function readExtensions(node: DerNode): KnownExtensions {
  const wrapper = new DerFields(node, contextTag(3, true), 'extensions');
  const list = wrapper.next(tags.sequence, 'Extensions');
  wrapper.end();
  if (list.children.length === 0) throw invalid('the list of extensions is empty');
  const extensions = readExtensionList(list);
  const find = <T>(name: string, read: (value: DerNode, critical: boolean) => T): T | undefined => {
    const found = extensions.find((extension) => extension.oid === name);
    return found && read(parseDer(found.value), found.critical);
  };
  const constraints = find(oids.basicConstraints, readBasicConstraints);
  return {
    isCa: constraints?.isCa ?? false,
    pathLen: constraints?.pathLen,
    keyUsage: find(oids.keyUsage, readNamedBits),
    extKeyUsage: find(oids.extKeyUsage, readExtKeyUsage),
    subjectAltName: find(oids.subjectAltName, readSubjectAltName),
    subjectKeyId: find(oids.subjectKeyIdentifier, readSubjectKeyId),
    authorityKeyId: find(oids.authorityKeyIdentifier, readAuthorityKeyId),
    nameConstraints: find(oids.nameConstraints, readNameConstraints),
    extensions,
  };
}

function readBasicConstraints(node: DerNode): { isCa: boolean; pathLen: number | undefined } {
  const fields = new DerFields(node, tags.sequence, 'BasicConstraints');
  const flag = fields.optional(tags.boolean);
  if (flag && flag.contents[0] === 0) throw invalid('basicConstraints writes its default');
  const length = fields.optional(tags.integer);
  fields.end();
  if (length && !flag) throw invalid('basicConstraints has a path length without being an authority');
  return { isCa: flag !== undefined, pathLen: length && readSmallInteger(length) };
}

function readExtKeyUsage(node: DerNode): string[] {
  const fields = new DerFields(node, tags.sequence, 'ExtKeyUsage');
  if (node.children.length === 0) throw invalid('extKeyUsage is empty');
  return node.children.map(() => readOid(fields.next(tags.oid, 'KeyPurposeId')));
}

export function readSubjectAltName(node: DerNode, critical: boolean): SubjectAltName {
  if (node.tag !== tags.sequence || node.children.length === 0) throw invalid('subjectAltName is empty');
  const of = (tag: number) => node.children.filter((name) => name.tag === tag);
  return {
    critical,
    uris: of(generalName.uri).map(readAscii),
    dnsNames: of(generalName.dns).map(readAscii),
    ipAddresses: of(generalName.ip).map((name) => name.contents),
    count: node.children.length,
  };
}

function readAscii(node: DerNode): string {
  if (node.contents.some((byte) => byte < 0x20 || byte >= 0x7f)) throw invalid('a name is not printable ASCII');
  return node.contents.toString('ascii');
}

function readSubjectKeyId(node: DerNode): Buffer {
  if (node.tag !== tags.octetString || node.contents.length === 0) throw invalid('subjectKeyIdentifier is malformed');
  return node.contents;
}

/** keyIdentifier alone: issuer and serial would stand in the way of cross-signing, so they are refused. */
function readAuthorityKeyId(node: DerNode): Buffer {
  const fields = new DerFields(node, tags.sequence, 'AuthorityKeyIdentifier');
  const id = fields.next(contextTag(0, false), 'keyIdentifier').contents;
  fields.end();
  return id;
}

function readNameConstraints(node: DerNode, critical: boolean): NameConstraints {
  const fields = new DerFields(node, tags.sequence, 'NameConstraints');
  const permitted = fields.optional(contextTag(0, true));
  const excluded = fields.optional(contextTag(1, true));
  fields.end();
  if (!permitted && !excluded) throw invalid('nameConstraints is empty');
  return { critical, permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) };
}

function readSubtrees(node: DerNode | undefined): Subtrees {
  if (node?.children.length === 0) throw invalid('nameConstraints has an empty list');
  const bases = (node?.children ?? []).map((subtree) => {
    const fields = new DerFields(subtree, tags.sequence, 'GeneralSubtree');
    const base = fields.any('base');
    // minimum is 0 and left out, maximum is absent (RFC 5280 section 4.2.1.10).
    fields.end();
    return base;
  });
  const of = (tag: number) => bases.filter((base) => base.tag === tag);
  const ranges = of(generalName.ip).map((base) => base.contents);
  if (ranges.some((range) => range.length !== 8 && range.length !== 32))
    throw invalid('nameConstraints has a bad IP range');
  const known: readonly number[] = Object.values(generalName);
  return {
    uris: of(generalName.uri).map(readAscii),
    dnsNames: of(generalName.dns).map(readAscii),
    ipRanges: ranges,
    others: bases.some((base) => !known.includes(base.tag)),
  };
}

// ---- writing ---------------------------------------------------------------------------------------------------

function extension(name: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(name), ...(critical ? [boolean(true)] : []), octetString(value));
}

export function basicConstraints(authority: { pathLen: number } | undefined): Buffer {
  const value = authority ? sequence(boolean(true), integer(authority.pathLen)) : sequence();
  return extension(oids.basicConstraints, true, value);
}

export function keyUsage(...positions: readonly number[]): Buffer {
  return extension(oids.keyUsage, true, namedBits(...positions));
}

export function extKeyUsage(...purposes: readonly string[]): Buffer {
  return extension(oids.extKeyUsage, false, sequence(...purposes.map(oid)));
}

export function subjectAltUri(uri: string, critical: boolean): Buffer {
  return extension(oids.subjectAltName, critical, sequence(contextPrimitive(6, Buffer.from(uri, 'ascii'))));
}

export function subjectKeyId(id: Buffer): Buffer {
  return extension(oids.subjectKeyIdentifier, false, octetString(id));
}

export function authorityKeyId(id: Buffer): Buffer {
  return extension(oids.authorityKeyIdentifier, false, sequence(contextPrimitive(0, id)));
}

/**
 * Lock-down of an intermediate: URIs of one trust domain alone, no DNS name (`invalid` is reserved, RFC 6761), no IP
 * address. Constraining URIs only would leave DNS and IP names unconstrained.
 */
export function lockDown(trustDomain: string): Buffer {
  const subtree = (tag: number, base: Buffer) => sequence(contextPrimitive(tag, base));
  const permitted = context(
    0,
    subtree(6, Buffer.from(trustDomain, 'ascii')),
    subtree(2, Buffer.from('invalid', 'ascii')),
  );
  const excluded = context(1, subtree(7, Buffer.alloc(8)), subtree(7, Buffer.alloc(32)));
  return extension(oids.nameConstraints, true, sequence(permitted, excluded));
}
