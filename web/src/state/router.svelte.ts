import { formatRoute, HOME, parseRoute, type Route } from '../lib/route.ts';

/** The view that the address names; changing it changes the address. */
class Router {
  route = $state<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener('popstate', () => this.#read());
    addEventListener('hashchange', () => this.#read());
  }

  /** Goes to a view, as a new step of the history. */
  go(change: Partial<Route>): void {
    this.#write({ ...this.route, ...change }, false);
  }

  /** Changes the view without a step of the history. */
  replace(change: Partial<Route>): void {
    this.#write({ ...this.route, ...change }, true);
  }

  /** Address of a view, for links. */
  href(change: Partial<Route>): string {
    return formatRoute({ ...this.route, ...change });
  }

  /** Address of a view that keeps nothing but the project. */
  place(screen: Route['screen'], project = this.route.project): Route {
    return { ...HOME, project, screen };
  }

  #write(route: Route, replace: boolean): void {
    const hash = formatRoute(route);
    if (hash === formatRoute(this.route) && location.hash === hash) return;
    history[replace ? 'replaceState' : 'pushState'](null, '', hash);
    this.route = route;
  }

  #read(): void {
    this.route = parseRoute(location.hash);
  }
}

export const router = new Router();
