/** @type {import('@sveltejs/vite-plugin-svelte').SvelteConfig} */
export default {
  compilerOptions: {
    runes: true,
    // From the content alone: the same class names on every machine.
    cssHash: ({ hash, css }) => `s${hash(css)}`,
  },
};
