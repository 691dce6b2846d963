// The part of fs-native-extensions that lock.ts uses; the package ships no types.
declare module 'fs-native-extensions' {
  /** Takes an exclusive lock of the whole file, which the kernel lets go when the process ends. */
  export function tryLock(fd: number): boolean
}
