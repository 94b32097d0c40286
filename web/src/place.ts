/** Who has served this page: a node, or the gateway of a domain. Its document says so, so that nothing is tried out. */
export type Place = 'node' | 'domain';

export const place: Place = document.documentElement.dataset['place'] === 'domain' ? 'domain' : 'node';
