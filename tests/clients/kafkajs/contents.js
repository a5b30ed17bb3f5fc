'use strict'

// The records written and read back, made from a seed by the rules of tests/clients/README.md.

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const PARTITIONS = 3
const RECORDS = 40
const MIB = 1 << 20
const TOPIC_LIMIT = 4 * MIB
const DEFAULT_LIMIT = 1048588
const BASE_MS = 1700000000000
const BULK = 10000

/** `length` bytes of xorshift32, four a step, little end first. */
function randomBytes(seed, length) {
  let state = Math.imul(seed, 2654435761)
  const out = Buffer.alloc(Math.ceil(length / 4) * 4)
  for (let at = 0; at < length; at += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    out.writeInt32LE(state, at)
  }
  return out.subarray(0, length)
}

/** `length` bytes that compress well: 16 random ones over and over. */
function repeatedBytes(seed, length) {
  return Buffer.alloc(length, randomBytes(seed, 16))
}

function keyOf(seed, i) {
  if (i % 5 === 0) return null
  return i % 5 === 1 ? Buffer.alloc(0) : randomBytes(seed * 4, 1 + i)
}

function valueOf(seed, i) {
  if (i % 7 === 3) return null
  if (i % 7 === 5) return Buffer.alloc(0)
  const length = i === 20 || i === 21 ? MIB : ((i * i * 7) % 3000) + 1
  return i % 2 === 1 ? repeatedBytes(seed * 4 + 1, length) : randomBytes(seed * 4 + 1, length)
}

/** A list of [name, value] pairs. */
function headersOf(seed, i) {
  if (i % 3 === 0) return []
  const data = randomBytes(seed * 4 + 2, 4 + i)
  if (i % 3 === 1) return [['h', data]]
  // The client has no null header value.
  return [['é', Buffer.from('1')], ['é', data], ['empty', Buffer.alloc(0)]]
}

/** Out of order on purpose: a search by time has to look at records, not only at batches. */
function timestampOf(partition, i) {
  return BASE_MS + ((i * 37) % RECORDS) * 1000 + partition
}

/** The records of one partition in offset order. */
function recordsOf(codec, partition) {
  const first = CODECS.indexOf(codec) * 100000 + partition * 1000 + 1
  return Array.from({ length: RECORDS }, (_, i) => ({
    partition,
    key: keyOf(first + i, i),
    value: valueOf(first + i, i),
    headers: headersOf(first + i, i),
    timestamp: timestampOf(partition, i),
  }))
}

/** Many small ones for one partition. */
function bulkRecords(count) {
  return Array.from({ length: count }, (_, i) => ({
    partition: 0,
    key: Buffer.from(String(i)),
    value: randomBytes(7000000 + i, 100),
    headers: [],
    timestamp: BASE_MS + i,
  }))
}

/** What ListOffsets must answer: the first offset whose record is not older, or null. */
function firstAtOrAfter(records, timestamp) {
  const offset = records.findIndex(record => record.timestamp >= timestamp)
  return offset < 0 ? null : offset
}

function same(a, b) {
  return a === null || b === null ? a === b : a.equals(b)
}

function shorten(bytes) {
  return bytes === null ? 'null' : `${bytes.length} bytes ${bytes.subarray(0, 8).toString('hex')}`
}

/** The first difference in words, or null when the two are byte for byte the same. */
function difference(got, wanted) {
  for (const part of ['partition', 'timestamp']) {
    if (got[part] !== wanted[part]) return `${part} ${got[part]}, wanted ${wanted[part]}`
  }
  for (const part of ['key', 'value']) {
    if (!same(got[part], wanted[part])) {
      return `${part} ${shorten(got[part])}, wanted ${shorten(wanted[part])}`
    }
  }
  if (got.headers.length !== wanted.headers.length) {
    return `${got.headers.length} headers, wanted ${wanted.headers.length}`
  }
  for (const [at, [name, value]] of wanted.headers.entries()) {
    const [gotName, gotValue] = got.headers[at]
    if (gotName !== name || !same(gotValue, value)) {
      return `header ${gotName}=${shorten(gotValue)}, wanted ${name}=${shorten(value)}`
    }
  }
  return null
}

module.exports = {
  CODECS, PARTITIONS, RECORDS, TOPIC_LIMIT, DEFAULT_LIMIT, BASE_MS, BULK,
  randomBytes, recordsOf, bulkRecords, firstAtOrAfter, difference,
}
