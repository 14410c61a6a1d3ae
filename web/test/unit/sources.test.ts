import { describe, expect, it } from 'vitest';

const found = import.meta.glob<string>('../../src/**/*.{ts,svelte,css,js}', { query: '?raw', import: 'default', eager: true });
const sources = Object.entries(found).map(([path, text]) => [path.replace('../../src/', ''), text] as const);

describe('sources', () => {
  it.each(sources)('%s puts no foreign text into markup and needs no inline style or script', (_name, text) => {
    expect(text).not.toMatch(/\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|new Function|\beval\(|javascript:/);
    expect(text).not.toMatch(/\sstyle="(?!\{)/);
    expect(text).not.toMatch(/https?:\/\/(?!127\.0\.0\.1)/);
  });
  it.each(sources.filter(([name]) => name !== 'app.css'))('%s names no colour of its own', (_name, text) => {
    expect(text.replace(/\{#\w+/g, '')).not.toMatch(/#[0-9a-f]{6}\b|#[0-9a-f]{3}\b(?=[;\s"'])|\brgba?\(/i);
  });
});
