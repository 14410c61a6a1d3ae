import { gzipSync } from 'node:zlib';

/**
 * Prints the gzip size of everything a first load fetches and fails the build
 * when it is over the limit.
 * @param {{limitKiB: number}} options
 * @returns {import('vite').Plugin}
 */
export function budget({ limitKiB }) {
  return {
    name: 'synapse-budget',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const rows = [];
        let total = 0;
        for (const [name, file] of Object.entries(bundle)) {
          if (!/\.(js|css|html)$/.test(name)) continue;
          const content = file.type === 'chunk' ? file.code : file.source;
          const size = gzipSync(content, { level: 9 }).length;
          total += size;
          rows.push(`  ${name.padEnd(36)} ${(size / 1024).toFixed(1).padStart(7)} KiB gzip`);
        }
        console.log(rows.sort().join('\n'));
        console.log(`  first load: ${(total / 1024).toFixed(1)} of ${limitKiB} KiB gzip`);
        if (total > limitKiB * 1024) this.error(`the dashboard is over its budget of ${limitKiB} KiB gzip`);
      },
    },
  };
}
