'use strict'

// A record produced, and read back through a group, with the client's own settings.

const { once } = require('node:events')
const { Kafka, logLevel } = require('kafkajs')

async function firstRecord(bootstrap, topic) {
  console.log('ready')
  await once(process.stdin, 'data')
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: [{ value: 'first' }] })
  const consumer = kafka.consumer({ groupId: `${topic}-group` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.run({ eachMessage: async () => resolve() }).catch(reject)
  })
  console.log('record')
}

module.exports = { firstRecord }
