// What a server may do to a path before it looks at it, in the order in which it does it (the order of Istio's
// `pathNormalization`): one step each, defined in policy/engine/path-profile.ts.
export const pathNormalisations = [
  'path-parameters',
  'encoded-slashes',
  'percent-encoding',
  'backslashes',
  'dot-segments',
  'merge-slashes',
  'trailing-slash',
  'case',
] as const;

export type PathNormalisation = (typeof pathNormalisations)[number];
