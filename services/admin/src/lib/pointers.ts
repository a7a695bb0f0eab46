// JSON pointers (RFC 6901) to all that a sample has, to be offered while typing.
const pointers_max = 200;
const depth_max = 8;
export function pointersOf(v: unknown, at = '', out: string[] = [], depth = 0): string[] {
  if (out.length >= pointers_max || depth > depth_max) return out;
  if (at) out.push(at);
  if (Array.isArray(v)) v.slice(0, 3).forEach((o, i) => pointersOf(o, `${at}/${i}`, out, depth + 1));
  else if (typeof v === 'object' && v) for (const [k, o] of Object.entries(v)) pointersOf(o, `${at}/${k.replace(/~/g, '~0').replace(/\//g, '~1')}`, out, depth + 1);
  return out;
}
