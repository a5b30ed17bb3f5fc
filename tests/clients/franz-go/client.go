package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deadline is how long any one condition is waited for.
const deadline = 30 * time.Second

var errTooLarge = errors.New("the broker refused a record for its size")

// A client is the calls the checks are made of. Each ends by itself within a minute.
type client struct {
	bootstrap string
	admin     *kadm.Client
}

// A readItem is a record and the offset it was read at.
type readItem struct {
	offset int64
	item   item
}

func newClient(bootstrap string) (*client, error) {
	// The client answers metadata requests from a cache this old.
	conn, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &client{bootstrap, kadm.NewClient(conn)}, nil
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deadline)
}

func (c *client) createTopic(topic string, count int32, config map[string]string) error {
	ctx, cancel := within()
	defer cancel()
	values := map[string]*string{}
	for name, value := range config {
		values[name] = &value
	}
	_, err := c.admin.CreateTopic(ctx, count, 1, values, topic)
	return err
}

func (c *client) deleteTopic(topic string) error {
	ctx, cancel := within()
	defer cancel()
	answers, err := c.admin.DeleteTopics(ctx, topic)
	if err != nil {
		return err
	}
	return answers.Error()
}

// topics gives topic name to number of partitions that have a leader.
func (c *client) topics() (map[string]int, error) {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListTopics(ctx)
	counts := map[string]int{}
	for name, topic := range listed {
		for _, p := range topic.Partitions {
			if p.Leader >= 0 {
				counts[name]++
			}
		}
	}
	return counts, err
}

func compression(codec string) kgo.CompressionCodec {
	switch codec {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

// batchLimit keeps batches under the default topic limit unless a single record asks for more.
func batchLimit(items []item) int32 {
	for _, it := range items {
		if len(it.value) > defaultLimit/2 {
			return 2 * mib
		}
	}
	return defaultLimit / 2
}

// produce sends all and waits for all; the offset of each. acks is "all", "1" or "0".
func (c *client) produce(topic string, items []item, codec, acks string) ([]int64, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.bootstrap), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProducerBatchCompression(compression(codec)), kgo.ProducerBatchMaxBytes(batchLimit(items)),
	}
	switch acks {
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	}
	producer, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	var sent []*kgo.Record
	for _, it := range items {
		record := &kgo.Record{Topic: topic, Partition: it.partition, Key: it.key, Value: it.value,
			Timestamp: time.UnixMilli(it.timestamp)}
		for _, h := range it.headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.name, Value: h.value})
		}
		sent = append(sent, record)
	}
	ctx, cancel := within()
	defer cancel()
	if err := producer.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		if errors.Is(err, kerr.MessageTooLarge) {
			return nil, errTooLarge
		}
		return nil, err
	}
	var offsets []int64
	for _, record := range sent {
		offsets = append(offsets, record.Offset)
	}
	return offsets, nil
}

// read gives count records from start on; first, when not nil, is closed at the first record.
func (c *client) read(topic string, partition int32, start int64, count int, first chan struct{}) ([]readItem, error) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(start)}}))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	ctx, cancel := within()
	defer cancel()
	var got []readItem
	for len(got) < count {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return got, fmt.Errorf("after %d records: %w", len(got), err)
		}
		for _, e := range fetches.Errors() {
			return got, fmt.Errorf("after %d records: %w", len(got), e.Err)
		}
		for _, r := range fetches.Records() {
			if len(got) < count {
				got = append(got, readItem{r.Offset, itemOf(r)})
			}
		}
		if first != nil && len(got) > 0 {
			close(first)
			first = nil
		}
	}
	return got, nil
}

func itemOf(r *kgo.Record) item {
	it := item{r.Partition, r.Key, r.Value, nil, r.Timestamp.UnixMilli()}
	for _, h := range r.Headers {
		it.headers = append(it.headers, header{h.Key, h.Value})
	}
	return it
}

// offsets asks with one of kadm's calls and picks one partition's answer.
func offset(answers kadm.ListedOffsets, err error, topic string, partition int32) (int64, error) {
	if err != nil {
		return 0, err
	}
	answer, ok := answers.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("no answer for %s-%d", topic, partition)
	}
	return answer.Offset, answer.Err
}

func (c *client) beginning(topic string, partition int32) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	answers, err := c.admin.ListStartOffsets(ctx, topic)
	return offset(answers, err, topic, partition)
}

func (c *client) end(topic string, partition int32) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	answers, err := c.admin.ListEndOffsets(ctx, topic)
	return offset(answers, err, topic, partition)
}

// atTime gives the first offset whose record is not older; kadm answers the end when there is none.
func (c *client) atTime(topic string, partition int32, timestamp int64) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	answers, err := c.admin.ListOffsetsAfterMilli(ctx, timestamp, topic)
	return offset(answers, err, topic, partition)
}

func (c *client) atMaxTimestamp(topic string, partition int32) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	answers, err := c.admin.ListMaxTimestampOffsets(ctx, topic)
	return offset(answers, err, topic, partition)
}
