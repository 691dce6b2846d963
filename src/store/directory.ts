/** The directory of users and devices, over one way to run statements. */
import type { Directory } from '../core/directory.ts'
import type { Run } from './connection.ts'
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
import { findUser, insertUser, listUsers } from './users.ts'

export function createDirectory(run: Run): Directory {
  return {
    findUser: (id) => findUser(run, id),
    listUsers: (email, after, countMax) => listUsers(run, email, after, countMax),
    insertUser: (user) => insertUser(run, user),
    findDevice: (id) => findDevice(run, id),
    listDevices: (userId, after, countMax) => listDevices(run, userId, after, countMax),
    insertDevice: (device) => insertDevice(run, device),
    writeDeviceKey: (id, keyHash) => writeDeviceKey(run, id, keyHash),
    writePairing: (id, tokenHash, ttlMs) => writePairing(run, id, tokenHash, ttlMs),
    findPaired: (tokenHashes) => findPaired(run, tokenHashes),
    redeemPairing: (redemption) => redeemPairing(run, redemption),
    updateDevice: (id, change) => updateDevice(run, id, change),
    deleteDevice: (id) => deleteDevice(run, id),
  }
}
