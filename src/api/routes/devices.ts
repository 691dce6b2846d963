/** Devices, their keys and pairing tokens: a user's own, and for admins everyone's. */
import { z } from 'zod'
import { createDeviceKey } from '../../access/deviceKey.ts'
import { createPairingToken, pairingUrlOf } from '../../access/pairingToken.ts'
import type { Directory } from '../../core/directory.ts'
import type { Changes } from '../../live/changes.ts'
import type { Act } from '../../ops/audit.ts'
import type { Ops } from '../../ops/ops.ts'
import { DEVICE, DEVICE_CHANGE, DEVICES, KEYED_DEVICE, NEW_DEVICE, PAIRING } from '../../protocol/http.ts'
import { ownDevice, ownerOf } from '../caller.ts'
import { BY_ID, idText, nextOf, PAGE } from '../fields.ts'
import { Problem } from '../message.ts'
import { type AnyRoute, route } from '../route.ts'

export interface DevicesOptions {
  directory: Pick<
    Directory,
    | 'findDevice'
    | 'listDevices'
    | 'insertDevice'
    | 'writeDeviceKey'
    | 'writePairing'
    | 'updateDevice'
    | 'deleteDevice'
  >
  limits: { pairingTtlMs: number; devicesPerUserMax: number }
  ops: Pick<Ops, 'counts'>
  changes: Pick<Changes, 'onDevice' | 'onDeviceKey' | 'onDeviceGone'>
}

export function deviceRoutes(options: DevicesOptions): AnyRoute[] {
  return [
    listDevices(options),
    addDevice(options),
    showDevice(options),
    changeDevice(options),
    deleteDevice(options),
    replaceKey(options),
    pairAgain(options),
  ]
}

function listDevices({ directory }: DevicesOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/devices',
    summary: 'Devices by id: own ones, or for admins those of any user',
    access: 'caller',
    query: z.strictObject({ userId: idText.optional(), ...PAGE }),
    answers: { 200: DEVICES },
    handle: async ({ caller, query: { userId, after, limit } }) => {
      const devices = await directory.listDevices(ownerOf(caller, userId), after, limit)
      return { status: 200, json: { devices, next: nextOf(devices, limit) } }
    },
  })
}

function addDevice(options: DevicesOptions): AnyRoute {
  return route({
    method: 'POST',
    path: '/v1/devices',
    summary: 'A new device with a pairing token, or `withKey` with its key at once; either is shown only now',
    access: 'caller',
    body: NEW_DEVICE,
    answers: { 201: z.union([PAIRING, KEYED_DEVICE]) },
    problems: [404, 409],
    handle: async ({ caller, body: { userId, withKey, ...given }, request }) => {
      const owner = ownerOf(caller, userId)
      if (owner === null)
        throw new Problem(400, 'userId says whose device it is', [{ field: 'userId', message: 'required' }])
      const device = await options.directory.insertDevice({ ...given, userId: owner })
      if (device === null) throw new Problem(404, 'there is no such user')
      if (device === 'full') throw full(options)
      const answer = withKey
        ? (await giveKey(options, device.id)).answer
        : await givePairing(options, device.id, request.baseUrl)
      options.changes.onDevice(answer.device)
      const acts: Act[] = [['device.added', { deviceId: device.id }]]
      if (!withKey) acts.push(['device.pairing', { deviceId: device.id }])
      return { status: 201, json: answer, acts }
    },
  })
}

function showDevice({ directory }: DevicesOptions): AnyRoute {
  return route({
    method: 'GET',
    path: '/v1/devices/{id}',
    summary: 'One device',
    access: 'caller',
    parameters: BY_ID,
    answers: { 200: DEVICE },
    handle: async ({ caller, parameters }) => ({
      status: 200,
      json: await ownDevice(directory, caller, parameters.id),
    }),
  })
}

function changeDevice({ directory, changes }: DevicesOptions): AnyRoute {
  return route({
    method: 'PATCH',
    path: '/v1/devices/{id}',
    summary: 'Renames, recolours, deactivates or activates a device',
    access: 'caller',
    parameters: BY_ID,
    body: DEVICE_CHANGE,
    answers: { 200: DEVICE },
    handle: async ({ caller, parameters, body }) => {
      await ownDevice(directory, caller, parameters.id)
      const device = await directory.updateDevice(parameters.id, body)
      if (device === null) throw new Problem(404, 'there is no such device')
      if (device.isActive) changes.onDevice(device)
      else changes.onDeviceGone(device)
      return { status: 200, json: device, acts: actsOf(device.id, body.isActive) }
    },
  })
}

function deleteDevice({ directory, changes }: DevicesOptions): AnyRoute {
  return route({
    method: 'DELETE',
    path: '/v1/devices/{id}',
    summary: 'Deletes a device: its socket is closed, its points stay',
    access: 'caller',
    parameters: BY_ID,
    answers: { 204: null },
    handle: async ({ caller, parameters }) => {
      const device = await ownDevice(directory, caller, parameters.id)
      if (!(await directory.deleteDevice(device.id))) throw new Problem(404, 'there is no such device')
      changes.onDeviceGone(device)
      return { status: 204, acts: [['device.deleted', { deviceId: device.id }]] }
    },
  })
}

function replaceKey(options: DevicesOptions): AnyRoute {
  return route({
    method: 'POST',
    path: '/v1/devices/{id}/key',
    summary: 'A new key, shown only now; the old one ends, and so does the socket that used it',
    access: 'caller',
    parameters: BY_ID,
    answers: { 201: KEYED_DEVICE },
    problems: [409],
    handle: async ({ caller, parameters }) => {
      await ownDevice(options.directory, caller, parameters.id)
      const { answer, keyHash } = await giveKey(options, parameters.id)
      options.changes.onDeviceKey(answer.device, keyHash)
      return { status: 201, json: answer, acts: [['device.keyReplaced', { deviceId: parameters.id }]] }
    },
  })
}

function pairAgain(options: DevicesOptions): AnyRoute {
  return route({
    method: 'POST',
    path: '/v1/devices/{id}/pairing',
    summary: 'A new pairing token, shown only now; redeeming it replaces the key',
    access: 'caller',
    parameters: BY_ID,
    answers: { 201: PAIRING },
    problems: [409],
    handle: async ({ caller, parameters, request }) => {
      await ownDevice(options.directory, caller, parameters.id)
      const json = await givePairing(options, parameters.id, request.baseUrl)
      return { status: 201, json, acts: [['device.pairing', { deviceId: parameters.id }]] }
    },
  })
}

function full({ ops, limits }: DevicesOptions): Problem {
  ops.counts.userDevicesRefused += 1
  return new Problem(
    409,
    `the user has ${limits.devicesPerUserMax} devices, and no more are possible: delete some, or have ALZY_DEVICES_PER_USER_MAX raised`,
  )
}

async function giveKey({ directory }: DevicesOptions, deviceId: number) {
  const { deviceKey, keyHash } = createDeviceKey(deviceId)
  const device = await directory.writeDeviceKey(deviceId, keyHash)
  if (device === null) throw asleep('give it a key')
  return { answer: { device, deviceKey }, keyHash }
}

async function givePairing({ directory, limits }: DevicesOptions, deviceId: number, baseUrl: string) {
  const { pairingToken, tokenHash } = createPairingToken()
  const pairing = await directory.writePairing(deviceId, tokenHash, limits.pairingTtlMs)
  if (pairing === null) throw asleep('pair it')
  return { ...pairing, pairingToken, pairingUrl: pairingUrlOf(baseUrl, pairingToken) }
}

function asleep(then: string): Problem {
  return new Problem(409, `the device or its user is deactivated: activate it, then ${then}`)
}

function actsOf(deviceId: number, isActive: boolean | undefined): Act[] {
  if (isActive === undefined) return []
  return [[isActive ? 'device.activated' : 'device.deactivated', { deviceId }]]
}
