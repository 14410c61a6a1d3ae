import { readFileSync } from 'node:fs';

const source = new URL('../src/boot/theme.js', import.meta.url);

/**
 * Puts src/boot/theme.js into the head as a blocking script of its own, so that
 * the theme is there before the first paint. It is a file because the CSP
 * allows no inline script, and not a module because modules are deferred.
 * @returns {import('vite').Plugin}
 */
export function bootScript() {
  let reference = '';
  let serving = false;
  return {
    name: 'synapse-boot-script',
    configResolved(config) {
      serving = config.command === 'serve';
    },
    buildStart() {
      if (serving) return;
      const code = readFileSync(source, 'utf8').replace(/^\s*\/\/.*\n/gm, '');
      reference = this.emitFile({ type: 'asset', name: 'theme.js', source: code });
    },
    transformIndexHtml: {
      order: 'post',
      handler() {
        const src = serving ? '/src/boot/theme.js' : `/${this.getFileName(reference)}`;
        return [{ tag: 'script', attrs: { src }, injectTo: 'head-prepend' }];
      },
    },
  };
}
