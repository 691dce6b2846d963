/** Sockets that have had their WELCOME: before it nothing but HELLO may be sent. */
import { openDevice, openViewer } from './wire.ts'

export type Device = Awaited<ReturnType<typeof welcomedDevice>>

export async function welcomedDevice(url: string, { deviceKey }: { deviceKey: string }) {
  const socket = await openDevice(url, { deviceKey })
  await socket.welcome
  return socket
}

export async function welcomedViewer(url: string, { token }: { token: string }) {
  const socket = await openViewer(url, { token })
  await socket.welcome
  return socket
}
