'use strict'

// The checks of groups on kafkajs. It has neither static members nor cooperative rebalancing.

const PARTITIONS = 4
/** The shortest session that a broker allows. */
const SESSION_MS = 6000

/** One consumer of a group. */
class Member {
  constructor(kafka, groupId, topic) {
    this.topic = topic
    this.read = []
    this.assignment = []
    this.consumer = kafka.consumer({
      groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: 500,
      rebalanceTimeout: 10000,
      maxWaitTimeInMs: 100,
    })
  }

  async open() {
    this.consumer.on('consumer.group_join', ({ payload }) => {
      this.assignment = [...(payload.memberAssignment[this.topic] ?? [])].sort()
    })
    this.consumer.on('consumer.rebalancing', () => (this.assignment = []))
    await this.consumer.connect()
    await this.consumer.subscribe({ topics: [this.topic], fromBeginning: true })
    await this.consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => void this.read.push([partition, Number(message.offset)]),
    })
    return this
  }

  async close() {
    await this.consumer.disconnect()
  }
}

class Groups {
  constructor(suite, { expect, until }) {
    Object.assign(this, { suite, expect, until, topic: suite.topic('group'), members: [] })
  }

  async run() {
    await this.check('group reads from the beginning', () => this.readsAll())
    await this.check('group goes on where it committed', () => this.goesOn())
    await this.check('two members share', () => this.twoShare())
    await this.check('groups are listed, described and deleted', () => this.administered())
  }

  async check(name, body) {
    await this.suite.check(name, async () => {
      try {
        await body()
      } finally {
        for (const member of this.members) await member.close()
        this.members = []
      }
    })
  }

  async join(group) {
    const member = new Member(this.suite.client.kafka, this.suite.topic(group), this.topic)
    this.members.push(member)
    return member.open()
  }

  async leave(member) {
    this.members = this.members.filter(other => other !== member)
    await member.close()
  }

  async produce(count) {
    const records = Array.from({ length: count }, (_, n) => ({
      partition: n % PARTITIONS,
      key: null,
      value: Buffer.from(`${n}`),
      headers: [],
      timestamp: 1_700_000_000_000 + n,
    }))
    await this.suite.client.produce(this.topic, records, 'none', -1)
  }

  /** Waits for `count` records, which must be the offsets from `first` on in each partition. */
  async readThrough(member, first, count) {
    await this.until('all records read', () => member.read.length >= count)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const offsets = member.read.filter(([at]) => at === partition).map(([, offset]) => offset)
      const wanted = Array.from({ length: count / PARTITIONS }, (_, n) => first + n)
      this.expect(`offsets of partition ${partition}`, `${offsets}`, `${wanted}`)
    }
  }

  async readsAll() {
    await this.suite.client.createTopic(this.topic, PARTITIONS, { 'retention.ms': '-1' })
    await this.produce(200)
    const member = await this.join('readers')
    await this.readThrough(member, 0, 200)
    const offsets = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: this.topic, partition, offset: '50' }))
    await member.consumer.commitOffsets(offsets)
    const told = await this.suite.client.admin.fetchOffsets({ groupId: this.suite.topic('readers'), topics: [this.topic] })
    const committed = told[0].partitions.map(({ partition, offset }) => `${partition}:${offset}`).sort()
    this.expect('committed', `${committed}`, '0:50,1:50,2:50,3:50')
  }

  async goesOn() {
    await this.produce(40)
    await this.readThrough(await this.join('readers'), 50, 40)
  }

  async untilAll(member) {
    await this.until('all partitions', () => member.assignment.length === PARTITIONS)
  }

  async twoShare() {
    const first = await this.join('sharers')
    await this.untilAll(first)
    const second = await this.join('sharers')
    await this.until('partitions shared', () => {
      const all = [...first.assignment, ...second.assignment].sort()
      return first.assignment.length === 2 && second.assignment.length === 2 && `${all}` === '0,1,2,3'
    })
    await this.leave(second)
    await this.untilAll(first)
  }

  async administered() {
    const { admin } = this.suite.client
    const group = this.suite.topic('administered')
    const member = await this.join('administered')
    await this.untilAll(member)
    const { groups } = await admin.listGroups()
    this.expect('listed', groups.filter(({ groupId }) => groupId === group).length, 1)
    const described = await admin.describeGroups([group])
    this.expect('state', described.groups[0].state, 'Stable')
    this.expect('members', described.groups[0].members.length, 1)
    this.expect('with members', await this.refusal(admin, group), 'NON_EMPTY_GROUP')
    await this.leave(member)
    await admin.setOffsets({ groupId: group, topic: this.topic, partitions: [{ partition: 0, offset: '7' }] })
    const told = await admin.fetchOffsets({ groupId: group, topics: [this.topic] })
    this.expect('reset to', told[0].partitions.find(({ partition }) => partition === 0).offset, '7')
    // kafkajs sets offsets as a member, and may say it is done before that member has left.
    let answer
    await this.until('deleted', async () => (answer = await this.refusal(admin, group)) !== 'NON_EMPTY_GROUP')
    this.expect('deletion', answer, 'none')
    this.expect('twice', await this.refusal(admin, group), 'GROUP_ID_NOT_FOUND')
  }

  /** The name of the error that deleting a group is refused with. */
  async refusal(admin, group) {
    try {
      await admin.deleteGroups([group])
    } catch (error) {
      return error.groups ? error.groups[0].error.type : error.type
    }
    return 'none'
  }
}

module.exports = { Groups }
