'use strict'

const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const Batch = require('kafkajs/src/consumer/batch')
const Cluster = require('kafkajs/src/cluster')
const LoggerConsole = require('kafkajs/src/loggers/console')
const { createLogger } = require('kafkajs/src/loggers')
const socketFactory = require('kafkajs/src/network/socketFactory')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')

const DEADLINE_MS = 30000
const MESSAGE_TOO_LARGE = 10

const TYPES = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

/** The broker refused a record for its size. */
class TooLarge extends Error {}

/**
 * The calls the checks are made of. The client's consumer always joins a group, so records are
 * read one layer below it: its cluster, its Fetch request, its batch decoding.
 */
class Client {
  constructor(bootstrap) {
    this.options = { brokers: [bootstrap], connectionTimeout: 5000, requestTimeout: DEADLINE_MS }
    this.kafka = new Kafka({ ...this.options, logLevel: logLevel.ERROR })
    this.admin = this.kafka.admin()
    this.cluster = new Cluster({
      ...this.options,
      enforceRequestTimeout: true,
      socketFactory: socketFactory(),
      logger: createLogger({ level: logLevel.ERROR, logCreator: LoggerConsole }),
      metadataMaxAge: 300000,
      allowAutoTopicCreation: false,
      maxInFlightRequests: null,
    })
  }

  async open() {
    await zstd.init()
    await this.admin.connect()
    await this.cluster.connect()
  }

  async close() {
    await this.admin.disconnect()
    await this.cluster.disconnect()
  }

  async createTopic(topic, numPartitions, config) {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const made = { topic, numPartitions, replicationFactor: 1, configEntries }
    await this.admin.createTopics({ topics: [made], timeout: DEADLINE_MS })
  }

  deleteTopic(topic) {
    return this.admin.deleteTopics({ topics: [topic], timeout: DEADLINE_MS })
  }

  /** Topic name → number of partitions that have a leader. */
  async topics() {
    const { topics } = await this.admin.fetchTopicMetadata()
    const leaders = topic => topic.partitions.filter(p => p.leader >= 0).length
    return new Map(topics.map(topic => [topic.name, leaders(topic)]))
  }

  /**
   * Sends all, a few to a request, and waits for each; partition → first offset of each request
   * with the number of its records.
   */
  async produce(topic, records, codec = 'none', acks = -1, chunk = 1000) {
    const producer = this.kafka.producer({ idempotent: acks === -1, allowAutoTopicCreation: true })
    await producer.connect()
    const answers = []
    try {
      for (let at = 0; at < records.length; at += chunk) {
        const part = records.slice(at, at + chunk)
        const answer = await producer.send({
          topic,
          acks,
          compression: TYPES[codec],
          timeout: DEADLINE_MS,
          messages: part.map(message),
        })
        for (const { partition, baseOffset } of answer) {
          const count = part.filter(r => r.partition === partition).length
          answers.push({ partition, baseOffset: Number(baseOffset), count })
        }
      }
    } catch (error) {
      if (error.code === MESSAGE_TOO_LARGE || error.cause?.code === MESSAGE_TOO_LARGE) {
        throw new TooLarge(error.message)
      }
      throw error
    } finally {
      await producer.disconnect()
    }
    return answers
  }

  /** `count` {offset, record} from offset `start` on; fewer when the deadline is over. */
  async read(topic, partition, start, count, onFirst = () => {}) {
    await this.cluster.addTargetTopic(topic)
    const [{ leader }] = this.cluster
      .findTopicPartitionMetadata(topic)
      .filter(p => p.partitionId === partition)
    const broker = await this.cluster.findBroker({ nodeId: leader })
    const got = []
    let next = start
    for (const end = Date.now() + DEADLINE_MS; got.length < count && Date.now() < end; ) {
      const partitions = [{ partition, fetchOffset: String(next), maxBytes: 1048576 }]
      const { responses } = await broker.fetch({
        maxWaitTime: 5000,
        minBytes: 1,
        topics: [{ topic, partitions }],
      })
      for (const { offset, ...read } of this.messages(responses, topic, next)) {
        if (got.length < count) got.push({ offset: Number(offset), record: record(partition, read) })
        next = Number(offset) + 1
      }
      if (got.length > 0) onFirst()
    }
    return got
  }

  messages(responses, topic, start) {
    const parts = responses.flatMap(r => (r.topicName === topic ? r.partitions : []))
    return parts.flatMap(part => new Batch(topic, String(start), part).messages)
  }

  async offsets(topic, partition) {
    const all = await this.admin.fetchTopicOffsets(topic)
    const { low, high } = all.find(p => p.partition === partition)
    return { beginning: Number(low), end: Number(high) }
  }

  /** The first offset not older than `timestamp`; the client answers the end when there is none. */
  async atTime(topic, partition, timestamp) {
    const all = await this.admin.fetchTopicOffsetsByTimestamp(topic, timestamp)
    return Number(all.find(p => p.partition === partition).offset)
  }
}

function message({ partition, key, value, headers, timestamp }) {
  const byName = {}
  for (const [name, data] of headers) {
    byName[name] = name in byName ? [].concat(byName[name], [data]) : data
  }
  return { partition, key, value, headers: byName, timestamp: String(timestamp) }
}

function record(partition, { key, value, headers, timestamp }) {
  const pairs = Object.entries(headers).flatMap(([name, data]) =>
    (Array.isArray(data) ? data : [data]).map(one => [name, one])
  )
  return { partition, key, value, headers: pairs, timestamp: Number(timestamp) }
}

module.exports = { Client, TooLarge, DEADLINE_MS }
