'use strict'

// The checks of tests/clients/README.md on kafkajs.

const { parseArgs } = require('node:util')
const { setTimeout: sleep } = require('node:timers/promises')
const contents = require('./contents')
const { Client, TooLarge, DEADLINE_MS } = require('./client')
const { firstRecord } = require('./first_record')
const { Groups } = require('./groups')

const KEEP = { 'retention.ms': '-1' }

function expect(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what}: got ${got}, wanted ${wanted}`)
}

async function until(what, condition) {
  for (const end = Date.now() + DEADLINE_MS; Date.now() < end; await sleep(50)) {
    if (await condition()) return
  }
  throw new Error(`${what}: not within ${DEADLINE_MS} ms`)
}

function compare(got, wanted, start) {
  expect('number of records', got.length, wanted.length)
  for (const [at, { offset, record }] of got.entries()) {
    expect('offset', offset, start + at)
    const found = contents.difference(record, wanted[at])
    if (found) throw new Error(`offset ${offset}: ${found}`)
  }
}

class Suite {
  constructor(client, prefix) {
    this.client = client
    this.prefix = prefix
    this.passed = 0
    this.failed = 0
  }

  topic(part) {
    return `${this.prefix}-${part}`
  }

  async check(name, body) {
    try {
      await body()
    } catch (error) {
      this.failed++
      console.log(`FAIL ${name}: ${error.name}: ${error.message}`)
      console.error(error.stack)
      return false
    }
    this.passed++
    console.log(`ok   ${name}`)
    return true
  }

  async run() {
    await this.check('create topics', () => this.create())
    for (const codec of contents.CODECS) {
      if (!(await this.check(`produce ${codec}`, () => this.produce(codec)))) {
        const nothing = () => Promise.reject(new Error('nothing was produced'))
        await this.check(`consume ${codec}`, nothing)
        await this.check(`offsets ${codec}`, nothing)
        continue
      }
      await this.check(`consume ${codec}`, () => this.consume(codec))
      await this.check(`offsets ${codec}`, () => this.offsets(codec))
    }
    await this.check('seek into a batch', () => this.seek())
    await this.check('bulk', () => this.bulk())
    await this.check('acks 1', () => this.acks(1))
    await this.check('acks 0', () => this.acks(0))
    await this.check('fetch waits for a record', () => this.tail())
    await this.check('topic made by the first produce', () => this.autoCreate())
    await this.check('record above the limit refused', () => this.tooLarge())
    await this.check('record just under the limit', () => this.justUnder())
    await this.check('delete topic', () => this.delete())
    await new Groups(this, { expect, until }).run()
    console.log(`${this.passed} passed, ${this.failed} failed`)
    return this.failed === 0 && this.passed > 0
  }

  async create() {
    const limits = { ...KEEP, 'max.message.bytes': String(contents.TOPIC_LIMIT) }
    for (const codec of contents.CODECS) {
      await this.client.createTopic(this.topic(codec), contents.PARTITIONS, limits)
      await this.untilListed(this.topic(codec), contents.PARTITIONS)
    }
    for (const part of ['bulk', 'acks-0', 'acks-1', 'tail', 'limit']) {
      await this.client.createTopic(this.topic(part), 1, KEEP)
      await this.untilListed(this.topic(part), 1)
    }
  }

  untilListed(topic, count) {
    return until(`${topic} with ${count} partitions`, async () => {
      return (await this.client.topics()).get(topic) === count
    })
  }

  async produce(codec) {
    const byPartition = Array.from({ length: contents.PARTITIONS }, (_, p) =>
      contents.recordsOf(codec, p)
    )
    const records = byPartition[0].flatMap((_, i) => byPartition.map(one => one[i]))
    const answers = await this.client.produce(this.topic(codec), records, codec, -1, 30)
    const next = byPartition.map(() => 0)
    for (const { partition, baseOffset, count } of answers) {
      expect(`first offset in partition ${partition}`, baseOffset, next[partition])
      next[partition] += count
    }
    expect('records acknowledged', next.join(), byPartition.map(one => one.length).join())
  }

  async consume(codec) {
    for (let p = 0; p < contents.PARTITIONS; p++) {
      const wanted = contents.recordsOf(codec, p)
      compare(await this.client.read(this.topic(codec), p, 0, wanted.length), wanted, 0)
    }
  }

  async offsets(codec) {
    for (let p = 0; p < contents.PARTITIONS; p++) {
      const records = contents.recordsOf(codec, p)
      const { beginning, end } = await this.client.offsets(this.topic(codec), p)
      expect('beginning', beginning, 0)
      expect('end', end, records.length)
      const stamps = records.map(r => r.timestamp)
      const newest = Math.max(...stamps)
      for (const timestamp of [0, contents.BASE_MS + 7001, ...stamps, newest + 1]) {
        const wanted = contents.firstAtOrAfter(records, timestamp) ?? end
        expect(`offset at ${timestamp}`, await this.client.atTime(this.topic(codec), p, timestamp), wanted)
      }
    }
  }

  async seek() {
    const records = contents.recordsOf('zstd', 1)
    for (const start of [7, 19, 20, 21, 22, records.length - 1]) {
      const got = await this.client.read(this.topic('zstd'), 1, start, 1)
      compare(got, records.slice(start, start + 1), start)
    }
  }

  async bulk() {
    const records = contents.bulkRecords(contents.BULK)
    await this.client.produce(this.topic('bulk'), records)
    compare(await this.client.read(this.topic('bulk'), 0, 0, records.length), records, 0)
    expect('end', (await this.client.offsets(this.topic('bulk'), 0)).end, records.length)
  }

  async acks(acks) {
    const topic = this.topic(`acks-${acks}`)
    const records = contents.bulkRecords(100)
    await this.client.produce(topic, records, 'none', acks)
    await until('all records in the log', async () => {
      return (await this.client.offsets(topic, 0)).end === records.length
    })
    compare(await this.client.read(topic, 0, 0, records.length), records, 0)
  }

  /** A reader that has caught up is given the next record when it comes. */
  async tail() {
    const topic = this.topic('tail')
    const records = contents.bulkRecords(2)
    await this.client.produce(topic, records.slice(0, 1))
    let seen
    const first = new Promise(resolve => (seen = resolve))
    const reading = this.client.read(topic, 0, 0, 2, seen)
    await Promise.race([first, reading])
    await this.client.produce(topic, records.slice(1))
    compare(await reading, records, 0)
  }

  async autoCreate() {
    const topic = this.topic('auto')
    expect('topic before', (await this.client.topics()).has(topic), false)
    const records = contents.bulkRecords(5)
    await this.client.produce(topic, records)
    compare(await this.client.read(topic, 0, 0, 5), records, 0)
    expect('partitions after', (await this.client.topics()).get(topic), 1)
  }

  single(seed, length) {
    const value = contents.randomBytes(seed, length)
    return [{ partition: 0, key: null, value, headers: [], timestamp: contents.BASE_MS }]
  }

  async tooLarge() {
    try {
      await this.client.produce(this.topic('limit'), this.single(99, contents.DEFAULT_LIMIT + 1))
    } catch (error) {
      if (error instanceof TooLarge) return
      throw error
    }
    throw new Error('the record was acknowledged')
  }

  async justUnder() {
    const records = this.single(98, contents.DEFAULT_LIMIT - 200)
    await this.client.produce(this.topic('limit'), records)
    compare(await this.client.read(this.topic('limit'), 0, 0, 1), records, 0)
    expect('end', (await this.client.offsets(this.topic('limit'), 0)).end, 1)
  }

  async delete() {
    const topic = this.topic('bulk')
    await this.client.deleteTopic(topic)
    await until('topic no longer listed', async () => !(await this.client.topics()).has(topic))
    await this.client.createTopic(topic, 1, KEEP)
    await this.untilListed(topic, 1)
    expect('end of the new topic', (await this.client.offsets(topic, 0)).end, 0)
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      bootstrap: { type: 'string' },
      prefix: { type: 'string' },
      'first-record': { type: 'string' },
    },
  })
  if (!values.bootstrap) throw new Error('--bootstrap HOST:PORT is missing')
  if (values['first-record']) {
    await firstRecord(values.bootstrap, values['first-record'])
    return true
  }
  const client = new Client(values.bootstrap)
  await client.open()
  const good = await new Suite(client, values.prefix ?? `kafkajs-${Date.now()}`).run()
  await client.close()
  return good
}

main().then(
  good => process.exit(good ? 0 : 1),
  error => {
    console.error(error)
    process.exit(2)
  }
)
