import './build/node20.js';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { bootScript } from './build/boot.js';
import { budget } from './build/budget.js';
import { notices } from './build/notices.js';

// A running gateway (or `npm run mock`) for `npm run dev`.
const backend = process.env.SYNAPSE_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte(), bootScript(), notices(['svelte', 'uplot', 'esm-env', 'clsx']), budget({ limitKiB: 150 })],
  base: '/',
  build: {
    outDir: '../services/gateway/assets/dist',
    emptyOutDir: true,
    target: 'es2022',
    // The CSP allows no data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    sourcemap: false,
  },
  server: { proxy: { '/v1': backend, '/docs': backend, '/openapi.json': backend } },
  test: { include: ['test/unit/**/*.test.ts'], environment: 'node' },
});
