/** The time, for what the page says about age; moves once a second while the page is seen. */
export const clockNow = $state({ ms: Date.now() });

setInterval(() => {
  if (document.visibilityState === 'visible') clockNow.ms = Date.now();
}, 1000);
