// Lines over time.  The library is fetched, and a chart drawn, when somebody has scrolled to it; what it draws is said in words beside
// it, for those who do not see it.
import { useEffect, useRef } from 'preact/hooks';
import { language, short } from '../lib/i18n';

export interface Line {
  label: string;
  values: Array<number | null>;
  colour: 1 | 2 | 3;
  fill?: boolean;
}
interface Props {
  label: string; // what the chart shows, in a sentence
  at: number[]; // Unix seconds
  lines: Line[];
  show?: (v: number) => string;
  height?: number;
}
const height_px = 190;
const axis_px = 64;
const near_px = 100;

export function Chart({ label, at, lines, show = short, height = height_px }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const el = box.current;
    if (!el || at.length < 2) return;
    let gone = false;
    let undo = (): void => undefined;
    const draw = (): Promise<void> => import('./uplot').then(({ UPlot }) => {
      if (gone) return;
      const style = getComputedStyle(document.documentElement);
      const colour = (name: string): string => style.getPropertyValue(name).trim();
      const axis = { stroke: colour('--ink-3'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 }, font: `12px ${style.getPropertyValue('--font')}` };
      const locale = language.value === 'de' ? 'de-DE' : 'en-GB';
      const long = (at[at.length - 1] ?? 0) - (at[0] ?? 0) > 2 * 86400;
      const time = (s: number): string => new Date(s * 1000).toLocaleString(locale, long ? { day: '2-digit', month: '2-digit' } : { hour: '2-digit', minute: '2-digit' });
      const plot = new UPlot(
        {
          width: el.clientWidth, height, legend: { show: false },
          cursor: { drag: { x: false, y: false }, points: { size: 6 } },
          scales: { y: { range: (_u, _min, max) => [0, Math.max(max * 1.1, 1)] } },
          axes: [{ ...axis, values: (_u, v) => v.map(time) }, { ...axis, size: axis_px, values: (_u, v) => v.map(show) }],
          series: [{}, ...lines.map((l) => ({ label: l.label, stroke: colour(`--chart-${l.colour}`), width: 1.5, points: { show: false }, ...(l.fill ? { fill: `${colour(`--chart-${l.colour}`)}22` } : {}) }))],
        },
        [at, ...lines.map((l) => l.values)],
        el,
      );
      const watch = new ResizeObserver(() => plot.setSize({ width: el.clientWidth, height }));
      watch.observe(el);
      undo = () => {
        watch.disconnect();
        plot.destroy();
      };
    });
    const near = new IntersectionObserver((seen) => {
      if (!seen.some((s) => s.isIntersecting)) return;
      near.disconnect();
      void draw();
    }, { rootMargin: `${near_px}px` });
    near.observe(el);
    return () => {
      gone = true;
      near.disconnect();
      undo();
    };
  }, [at, lines, show, height]);
  return (
    <figure class="chart">
      <figcaption class="row">
        {lines.map((l) => <span key={l.label} class="key"><i class={`c${l.colour}`} />{l.label}</span>)}
      </figcaption>
      <div ref={box} role="img" aria-label={label} style={{ height: `${height}px` }} />
    </figure>
  );
}
