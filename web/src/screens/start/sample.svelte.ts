import { S } from '../../strings.ts';

/** The text that the person sends; kept while the page is open. */
export const sample = $state<{ text: string; tab: 'curl' | 'grpcurl' | 'cli' }>({ text: S.start.defaultText, tab: 'curl' });
