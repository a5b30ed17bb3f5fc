"""A member of a consumer group that lives until it is killed: BOOTSTRAP GROUP TOPIC. Says once how many partitions it has."""

import sys

from confluent_kafka import Consumer

bootstrap, group, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": "consumer"})
consumer.subscribe([topic], on_assign=lambda _, places: print(len(places), flush=True) if places else None)
while True:
    consumer.poll(0.1)
