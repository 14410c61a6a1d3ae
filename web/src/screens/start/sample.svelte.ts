import { S } from '../../strings.ts';

/** What the person typed and chose; kept while the page is open. */
export const sample = $state<{ text: string; tab: 'curl' | 'grpcurl' | 'cli'; tryText: string; tryTargets: string }>({
  text: S.start.defaultText, tab: 'curl', tryText: S.try.defaultText, tryTargets: S.try.defaultTargets,
});
