import { readFileSync, readdirSync } from 'node:fs';

/**
 * Writes third-party.txt with the licence of each package whose code is in the
 * bundle, as the MIT licence asks.
 * @param {string[]} packages
 * @returns {import('vite').Plugin}
 */
export function notices(packages) {
  return {
    name: 'synapse-notices',
    apply: 'build',
    generateBundle() {
      const parts = packages.map((name) => {
        const folder = new URL(`../node_modules/${name}/`, import.meta.url);
        const { version, license } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        const text = file ? readFileSync(new URL(file, folder), 'utf8') : `Licence: ${license}`;
        return `${name} ${version}\n\n${text.replace(/\r\n/g, '\n').trim()}\n`;
      });
      const source = `The dashboard contains code of these packages.\n\n${parts.join(`\n${'-'.repeat(72)}\n\n`)}`;
      this.emitFile({ type: 'asset', fileName: 'third-party.txt', source });
    },
  };
}
