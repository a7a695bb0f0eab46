// What differs between two texts, word by word (Myers, "An O(ND) Difference Algorithm", 1986).
export interface Piece {
  kind: 'same' | 'del' | 'ins';
  text: string;
}
const tokens_max = 6000;
const steps_max = 1500;
const split = (s: string): string[] => s.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

export function diffWords(a: string, b: string): Piece[] {
  const x = split(a);
  const y = split(b);
  let from = 0;
  while (from < x.length && from < y.length && x[from] === y[from]) from++;
  let to = 0;
  while (to < x.length - from && to < y.length - from && x[x.length - 1 - to] === y[y.length - 1 - to]) to++;
  const head = x.slice(0, from).join('');
  const tail = to ? x.slice(x.length - to).join('') : '';
  const middle = myers(x.slice(from, x.length - to), y.slice(from, y.length - to));
  return join([{ kind: 'same', text: head }, ...middle, { kind: 'same', text: tail }]);
}
function myers(x: string[], y: string[]): Piece[] {
  const whole: Piece[] = [{ kind: 'del', text: x.join('') }, { kind: 'ins', text: y.join('') }];
  if (!x.length || !y.length || x.length + y.length > tokens_max) return whole;
  const max = Math.min(x.length + y.length, steps_max);
  const v = new Map<number, number>([[1, 0]]);
  const trace: Array<Map<number, number>> = [];
  for (let d = 0; d <= max; d++) {
    trace.push(new Map(v));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
      let i = down ? (v.get(k + 1) ?? 0) : (v.get(k - 1) ?? 0) + 1;
      let j = i - k;
      while (i < x.length && j < y.length && x[i] === y[j]) {
        i++;
        j++;
      }
      v.set(k, i);
      if (i >= x.length && j >= y.length) return back(x, y, trace);
    }
  }
  return whole; // too different for the details to help anybody
}
function back(x: string[], y: string[], trace: Array<Map<number, number>>): Piece[] {
  const out: Piece[] = [];
  let i = x.length;
  let j = y.length;
  for (let d = trace.length - 1; d >= 0; d--) {
    const v = trace[d] as Map<number, number>;
    const k = i - j;
    const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
    const pk = down ? k + 1 : k - 1;
    const pi = v.get(pk) ?? 0;
    const pj = pi - pk;
    while (i > pi && j > pj && i > 0 && j > 0) out.unshift({ kind: 'same', text: x[(j--, --i)] ?? '' });
    if (d > 0) {
      if (down) out.unshift({ kind: 'ins', text: y[--j] ?? '' });
      else out.unshift({ kind: 'del', text: x[--i] ?? '' });
    }
  }
  return out;
}
function join(pieces: Piece[]): Piece[] {
  const out: Piece[] = [];
  for (const p of pieces) {
    const last = out[out.length - 1];
    if (!p.text) continue;
    if (last?.kind === p.kind) last.text += p.text;
    else out.push({ ...p });
  }
  return out;
}

/* --- three states of a row: what was read, mine, theirs --- */
export interface Clash {
  name: string;
  base: unknown;
  mine: unknown;
  theirs: unknown;
  kind: 'mine' | 'theirs' | 'both';
}
/** Which fields changed, on which side; fields that both sides changed to the same are no clash. */
export function threeWay(names: string[], base: Record<string, unknown>, mine: Record<string, unknown>, theirs: Record<string, unknown>, same: (a: unknown, b: unknown) => boolean): Clash[] {
  const out: Clash[] = [];
  for (const name of names) {
    const [b, m, th] = [base[name], mine[name], theirs[name]];
    const iChanged = !same(b, m);
    const theyChanged = !same(b, th);
    if ((!iChanged && !theyChanged) || same(m, th)) continue;
    out.push({ name, base: b, mine: m, theirs: th, kind: iChanged && theyChanged ? 'both' : iChanged ? 'mine' : 'theirs' });
  }
  return out;
}
