// The one function of Node.js that the tests use; its types are not installed.
declare module 'node:child_process' {
  export function execFileSync(file: string, args: string[], options: { encoding: 'utf8' }): string;
}
