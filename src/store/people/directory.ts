/** The directory of users, devices and shares, over one way to run statements. */
import type { Directory } from '../../core/directory.ts'
import type { Run } from '../line/run.ts'
import {
  deleteDevice,
  findDevice,
  findPaired,
  insertDevice,
  listDevices,
  redeemPairing,
  updateDevice,
  writeDeviceKey,
  writePairing,
} from './devices.ts'
import { endShare, findOwners, findShare, insertShare, listShares } from './shares.ts'
import { findUser, findUserAt, insertUser, linkUser, listUsers, updateUser } from './users.ts'

export interface DirectoryLimits {
  devicesPerUserMax: number
  sharesPerUserMax: number
}

export function createDirectory(run: Run, limits: DirectoryLimits): Directory {
  return {
    findUser: (id) => findUser(run, id),
    listUsers: (email, after, countMax) => listUsers(run, email, after, countMax),
    insertUser: (user) => insertUser(run, user),
    updateUser: (id, change) => updateUser(run, id, change),
    findUserAt: (issuer, sub) => findUserAt(run, issuer, sub),
    linkUser: (email, issuer, sub) => linkUser(run, email, issuer, sub),
    findDevice: (id) => findDevice(run, id),
    listDevices: (userId, after, countMax) => listDevices(run, userId, after, countMax),
    insertDevice: (device) => insertDevice(run, device, limits.devicesPerUserMax),
    writeDeviceKey: (id, keyHash) => writeDeviceKey(run, id, keyHash),
    writePairing: (id, tokenHash, ttlMs) => writePairing(run, id, tokenHash, ttlMs),
    findPaired: (tokenHashes) => findPaired(run, tokenHashes),
    redeemPairing: (redemption) => redeemPairing(run, redemption),
    updateDevice: (id, change) => updateDevice(run, id, change),
    deleteDevice: (id) => deleteDevice(run, id),
    findOwners: (deviceIds) => findOwners(run, deviceIds),
    insertShare: (share, nowMs) => insertShare(run, share, nowMs, limits.sharesPerUserMax),
    findShare: (id) => findShare(run, id),
    listShares: (userId, after, countMax) => listShares(run, userId, after, countMax),
    endShare: (id, nowMs) => endShare(run, id, nowMs),
  }
}
