"""aiokafka: each call of the suite is one asyncio run with its own connections."""

import asyncio
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError, for_code
from contents import TOPIC_LIMIT, Record
from groups import SESSION_S, Member
from suite import DEADLINE_S, Adapter, TooLarge, main


class AioKafka(Adapter):
    name = "aiokafka"
    cannot = frozenset({"null pairs", "cooperative"})

    @staticmethod
    def first_record(bootstrap, topic):
        asyncio.run(first_record(bootstrap, topic))

    def admin(self, call):
        async def run():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await call(admin)
            finally:
                await admin.close()

        return asyncio.run(asyncio.wait_for(run(), DEADLINE_S))

    def reader(self, call):
        async def run():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap,
                group_id=None,
                auto_offset_reset="none",
                enable_auto_commit=False,
                check_crcs=True,
            )
            await consumer.start()
            try:
                return await call(consumer)
            finally:
                await consumer.stop()

        return asyncio.run(asyncio.wait_for(run(), DEADLINE_S + 10))

    def create_topic(self, topic, partitions, config):
        new = NewTopic(topic, partitions, 1, topic_configs=config)
        answer = self.admin(lambda admin: admin.create_topics([new]))
        raise_for([error[1] for error in answer.topic_errors])

    def delete_topic(self, topic):
        answer = self.admin(lambda admin: admin.delete_topics([topic]))
        raise_for([error[1] for error in answer.topic_error_codes])

    def topics(self):
        async def listed(admin):
            return await admin.describe_topics(await admin.list_topics())

        return {
            topic["topic"]: sum(1 for p in topic["partitions"] if p["leader"] >= 0)
            for topic in self.admin(listed)
        }

    def produce(self, topic, records, codec="none", acks="all", idempotent=True):
        async def run():
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap,
                compression_type=None if codec == "none" else codec,
                acks=acks if acks == "all" else int(acks),
                enable_idempotence=idempotent,
                linger_ms=5,
                max_request_size=TOPIC_LIMIT,
                request_timeout_ms=DEADLINE_S * 1000,
            )
            await producer.start()
            try:
                sent = [
                    await producer.send(
                        topic,
                        value=r.value,
                        key=r.key,
                        partition=r.partition,
                        timestamp_ms=r.timestamp,
                        headers=r.headers,
                    )
                    for r in records
                ]
                return await asyncio.gather(*sent)
            finally:
                await producer.stop()

        try:
            answers = asyncio.run(asyncio.wait_for(run(), 2 * DEADLINE_S))
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise TooLarge(str(error)) from error
        return [-1] * len(records) if acks == "0" else [a.offset for a in answers]

    def read(self, topic, partition, start, count):
        return self.read_following(topic, partition, start, count, None)

    def read_following(self, topic, partition, start, count, first_read):
        at = TopicPartition(topic, partition)

        async def run(consumer):
            consumer.assign([at])
            consumer.seek(at, start)
            got = []
            end = time.monotonic() + DEADLINE_S
            while len(got) < count and time.monotonic() < end:
                batch = await consumer.getmany(
                    at, timeout_ms=1000, max_records=count - len(got)
                )
                got += [(m.offset, record(m)) for m in batch.get(at, [])]
                if got and first_read:
                    first_read.set()
            return got

        return self.reader(run)

    def beginning(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.reader(lambda consumer: consumer.beginning_offsets([at]))[at]

    def end(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.reader(lambda consumer: consumer.end_offsets([at]))[at]

    def at_time(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        found = self.reader(lambda consumer: consumer.offsets_for_times({at: timestamp}))[at]
        return found.offset if found else None


def raise_for(codes):
    for code in codes:
        if code:
            raise for_code(code)


def record(message):
    return Record(
        message.partition, message.key, message.value, list(message.headers), message.timestamp
    )


class AioKafkaMember(Member):
    """Lives in an event loop on a thread of its own, as its heartbeats must."""

    def __init__(self, bootstrap, group, topic, owners, static=None, cooperative=False):
        self.topic, self.owners = topic, owners
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

        async def start():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=bootstrap,
                group_id=group,
                group_instance_id=static,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=SESSION_S * 1000,
                heartbeat_interval_ms=500,
            )
            consumer.subscribe([topic], listener=Listener(self))
            await consumer.start()
            return consumer

        self.consumer = self.run(start())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_S)

    def poll(self):
        batch = self.run(self.consumer.getmany(timeout_ms=100))
        return [(message.partition, message.offset) for messages in batch.values() for message in messages]

    def assignment(self):
        return {place.partition for place in self.consumer.assignment()}

    def commit(self):
        self.run(self.consumer.commit())

    def committed(self):
        offsets = {n: self.run(self.consumer.committed(TopicPartition(self.topic, n))) for n in self.assignment()}
        return {partition: offset for partition, offset in offsets.items() if offset is not None}

    def close(self):
        self.run(self.consumer.stop())
        self.owners.revoked(self, list(self.assignment()))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE_S)


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_assigned(self, assigned):
        self.member.owners.assigned(self.member, [place.partition for place in assigned])

    def on_partitions_revoked(self, revoked):
        self.member.owners.revoked(self.member, [place.partition for place in revoked])


async def first_record(bootstrap, topic):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    await producer.send_and_wait(topic, b"first")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"{topic}-group", auto_offset_reset="earliest"
    )
    await consumer.start()
    await consumer.getone()
    # Told before the clients are closed.
    print("record", flush=True)
    await consumer.stop()
    await producer.stop()


AioKafka.member = AioKafkaMember
main(AioKafka)
