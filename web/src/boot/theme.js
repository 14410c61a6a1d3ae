// Sets the theme before the first paint. See src/lib/theme.ts.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem('synapse.theme');
  } catch (e) {
    choice = null;
  }
  var dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
