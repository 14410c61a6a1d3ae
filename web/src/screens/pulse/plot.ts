import uPlot from 'uplot';
import { clock, day, percent, shortCount, signed } from '../../lib/format.ts';
import { splitIncomplete } from '../../lib/series.ts';
import type { ChartModel, Line } from './chartmodel.ts';
import { niceTop } from './nicetop.ts';

// The options of the two charts: net sentiment or shares above, volume below.
// Colours are read from the tokens; everything else is drawn from the model, so
// new data needs no new chart.

export const NET_HEIGHT = 240;
export const VOLUME_HEIGHT = 104;
const AXIS = 48;
const DIRECT_LABELS = 116;

export interface PlotContext {
  model: () => ChartModel;
  /** Value of a CSS variable. */
  color: (name: string) => string;
  font: string;
  width: number;
  /** Whether there is room for names at the ends of the lines. */
  labels: boolean;
  onIndex: (index: number | null, left: number) => void;
}

/** Two plots with the same key need new data only. */
export function shapeOf(model: ChartModel): string {
  return JSON.stringify([model.kind, model.step, model.lines.map((l) => [l.name, l.color])]);
}

export function netData(model: ChartModel): uPlot.AlignedData {
  return [model.xs, ...model.lines.flatMap((line) => splitIncomplete(line.values, model.firstIncomplete))] as uPlot.AlignedData;
}

export function volumeData(model: ChartModel): uPlot.AlignedData {
  const counts = model.buckets.map((b) => b.count);
  return [
    model.xs,
    counts.map((n, i) => (i < model.firstIncomplete ? n : null)),
    counts.map((n, i) => (i >= model.firstIncomplete ? n : null)),
  ] as uPlot.AlignedData;
}

export function netOptions(context: PlotContext): uPlot.Options {
  const model = context.model();
  return {
    ...base(context, NET_HEIGHT),
    padding: [12, context.labels && model.lines.length > 1 ? DIRECT_LABELS : 12, 4, 0],
    scales: { x: xScale(context), y: { range: () => context.model().y } },
    axes: [
      { ...axis(context), size: 4, values: (_u, splits) => splits.map(() => '') },
      {
        ...axis(context),
        size: AXIS,
        splits: () => ySplits(context.model()),
        values: (_u, splits) => splits.map((v) => (context.model().kind === 'shares' ? percent(v) : signed(v, 1).replace('.0', ''))),
      },
    ],
    series: [{}, ...model.lines.flatMap((line, i) => lineSeries(context, line, i))],
    hooks: {
      drawAxes: [(u) => zeroLine(u, context)],
      draw: context.labels && model.lines.length > 1 ? [(u) => directLabels(u, context)] : [],
      setCursor: [(u) => context.onIndex(u.cursor.idx ?? null, (u.cursor.left ?? 0) + AXIS)],
    },
  };
}

export function volumeOptions(context: PlotContext): uPlot.Options {
  const model = context.model();
  const bars = uPlot.paths.bars!({ size: [0.8, 40, 1] });
  const top = () => niceTop(Math.max(1, ...context.model().buckets.map((b) => b.count)));
  return {
    ...base(context, VOLUME_HEIGHT),
    padding: [8, context.labels && model.lines.length > 1 ? DIRECT_LABELS : 12, 0, 0],
    scales: { x: xScale(context), y: { range: () => [0, top()] } },
    axes: [
      { ...axis(context), size: 28, space: 64, values: (_u, splits, _a, _s, step) => timeLabels(splits, step, model.step >= 86_400_000) },
      {
        ...axis(context),
        size: AXIS,
        splits: () => (top() % 2 === 0 ? [0, top() / 2, top()] : [0, top()]),
        values: (_u, splits) => splits.map(shortCount),
      },
    ],
    series: [
      {},
      { paths: bars, fill: () => context.color('--line-strong'), width: 0, points: { show: false } },
      { paths: bars, stroke: () => context.color('--muted'), width: 1, dash: [3, 3], points: { show: false } },
    ],
    hooks: { setCursor: [(u) => context.onIndex(u.cursor.idx ?? null, (u.cursor.left ?? 0) + AXIS)] },
  };
}

function base(context: PlotContext, height: number): Omit<uPlot.Options, 'series'> {
  return {
    width: context.width,
    height,
    // Whole days are days of UTC, so their ticks are too.
    ...(context.model().step >= 86_400_000 ? { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), 'UTC') } : {}),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { show: false }, sync: { key: 'synapse' } },
  };
}

function xScale(context: PlotContext): uPlot.Scale {
  return { time: true, range: () => context.model().span };
}

function axis(context: PlotContext): uPlot.Axis {
  return {
    stroke: () => context.color('--muted'),
    font: context.font,
    gap: 6,
    grid: { stroke: () => context.color('--line'), width: 1 },
    ticks: { show: false },
  };
}

// A line twice: what is final, and dashed what may still change.
function lineSeries(context: PlotContext, line: Line, index: number): uPlot.Series[] {
  const stroke = line.color === 'sign' ? (u: uPlot) => bySign(u, context, 1) : () => context.color(line.color);
  const points = {
    show: true,
    size: 5,
    width: 1.5,
    fill: () => context.color('--bg'),
    filter: (u: uPlot, series: number) => isolated(u.data[series] as (number | null)[]),
  };
  const common = { stroke, width: 1.75, spanGaps: false, points };
  return [
    {
      ...common,
      label: String(index),
      dash: line.dash,
      fill: line.color === 'sign' ? (u) => bySign(u, context, 0.14) : undefined,
      fillTo: 0,
    },
    { ...common, label: `${index} incomplete`, dash: [3, 4], width: 1.5 },
  ];
}

// A point without neighbours has no line to be seen by.
function isolated(values: (number | null)[]): number[] {
  return values.flatMap((v, i) => (v !== null && values[i - 1] == null && values[i + 1] == null ? [i] : []));
}

// Blue above zero and orange below, with a hard edge.
function bySign(u: uPlot, context: PlotContext, alpha: number): CanvasGradient | string {
  const [low, high] = context.model().y;
  const positive = withAlpha(context.color('--positive'), alpha);
  const negative = withAlpha(context.color('--negative'), alpha);
  if (low >= 0) return positive;
  if (high <= 0) return negative;
  const top = u.bbox.top;
  const bottom = u.bbox.top + u.bbox.height;
  if (!Number.isFinite(top) || bottom <= top) return positive;
  const gradient = u.ctx.createLinearGradient(0, top, 0, bottom);
  const zero = high / (high - low);
  gradient.addColorStop(0, positive);
  gradient.addColorStop(zero, positive);
  gradient.addColorStop(zero, negative);
  gradient.addColorStop(1, negative);
  return gradient;
}

function withAlpha(hex: string, alpha: number): string {
  return alpha >= 1 ? hex : hex + Math.round(alpha * 255).toString(16).padStart(2, '0');
}

function zeroLine(u: uPlot, context: PlotContext): void {
  const { kind, y } = context.model();
  if (kind === 'shares' || y[0] > 0 || y[1] < 0) return;
  const at = Math.round(u.valToPos(0, 'y', true)) + 0.5;
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = context.color('--muted');
  ctx.lineWidth = Math.max(1, Math.round(devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(bbox.left, at);
  ctx.lineTo(bbox.left + bbox.width, at);
  ctx.stroke();
  ctx.restore();
}

function directLabels(u: uPlot, context: PlotContext): void {
  const { lines } = context.model();
  const ratio = devicePixelRatio;
  const height = 15 * ratio;
  const places = lines.flatMap((line) => {
    const last = line.values.findLast((v) => v !== null);
    return last == null ? [] : [{ line, y: u.valToPos(last, 'y', true) }];
  });
  places.sort((a, b) => a.y - b.y);
  const bottom = u.bbox.top + u.bbox.height;
  for (let i = 1; i < places.length; i++) places[i]!.y = Math.max(places[i]!.y, places[i - 1]!.y + height);
  for (let i = places.length - 1; i >= 0; i--) {
    const limit = i === places.length - 1 ? bottom : places[i + 1]!.y - height;
    places[i]!.y = Math.min(places[i]!.y, limit);
  }
  const { ctx } = u;
  ctx.save();
  ctx.font = scaledFont(context.font, ratio);
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  for (const { line, y } of places) {
    ctx.fillStyle = context.color(line.color);
    ctx.fillText(shorten(ctx, line.name, (DIRECT_LABELS - 12) * ratio), u.bbox.left + u.bbox.width + 8 * ratio, y);
  }
  ctx.restore();
}

function scaledFont(font: string, ratio: number): string {
  return font.replace(/^[\d.]+/, (size) => String(Number(size) * ratio));
}

function shorten(ctx: CanvasRenderingContext2D, name: string, width: number): string {
  if (ctx.measureText(name).width <= width) return name;
  const letters = [...name.slice(0, 64)];
  while (letters.length > 1 && ctx.measureText(`${letters.join('')}…`).width > width) letters.pop();
  return `${letters.join('')}…`;
}

function ySplits({ kind, y: [low, high] }: ChartModel): number[] {
  if (kind === 'shares') return [0, 0.25, 0.5, 0.75, 1];
  const step = [0.1, 0.2, 0.5].find((s) => (high - low) / s <= 6.001) ?? 0.5;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Math.round((first + i) * step * 10) / 10);
}

function timeLabels(splits: number[], step: number, utc: boolean): string[] {
  const zone = utc ? 'UTC' : undefined;
  let lastDay = '';
  return splits.map((seconds) => {
    const date = day(seconds * 1000, zone);
    const time = clock(seconds * 1000, zone);
    const label = step >= 86_400 || (time === '00:00' && date !== lastDay) ? date : time;
    lastDay = date;
    return label;
  });
}

