import { parseRoute } from './route.ts';
import { router } from '../state/router.svelte.ts';

/**
 * Lets a link to a view be followed inside the page, with its place in the
 * history; new tabs and windows work as ever.
 */
export function follow(): (link: HTMLAnchorElement) => () => void {
  return (link) => {
    const onclick = (event: MouseEvent) => {
      if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      router.go(parseRoute(link.hash));
    };
    link.addEventListener('click', onclick);
    return () => link.removeEventListener('click', onclick);
  };
}
