package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// The records written and read back, made from a seed by the rules of tests/clients/README.md.
const (
	partitions   = 3
	records      = 40
	mib          = 1 << 20
	topicLimit   = 4 * mib
	defaultLimit = 1_048_588
	baseMs       = 1_700_000_000_000
	bulkRecords  = 10_000
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

type header struct {
	name  string
	value []byte
}

// An item is one record; nil and empty byte slices are different things. Time in milliseconds.
type item struct {
	partition  int32
	key, value []byte
	headers    []header
	timestamp  int64
}

// randomBytes gives length bytes of xorshift32, four a step, little end first.
func randomBytes(seed uint32, length int) []byte {
	state := seed * 2654435761
	out := make([]byte, 0, length+3)
	for len(out) < length {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		out = binary.LittleEndian.AppendUint32(out, state)
	}
	return out[:length]
}

// repeatedBytes gives length bytes that compress well: 16 random ones over and over.
func repeatedBytes(seed uint32, length int) []byte {
	return bytes.Repeat(randomBytes(seed, 16), length/16+1)[:length]
}

func keyOf(seed uint32, i int) []byte {
	switch i % 5 {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return randomBytes(seed*4, 1+i)
}

func valueOf(seed uint32, i int) []byte {
	switch i % 7 {
	case 3:
		return nil
	case 5:
		return []byte{}
	}
	length := i*i*7%3000 + 1
	if i == 20 || i == 21 {
		length = mib
	}
	if i%2 == 1 {
		return repeatedBytes(seed*4+1, length)
	}
	return randomBytes(seed*4+1, length)
}

func headersOf(seed uint32, i int) []header {
	data := randomBytes(seed*4+2, 4+i)
	switch i % 3 {
	case 0:
		return nil
	case 1:
		return []header{{"h", data}}
	}
	return []header{{"é", []byte("1")}, {"é", data}, {"empty", []byte{}}, {"null", nil}}
}

// timestampOf is out of order on purpose: a search by time has to look at records.
func timestampOf(partition, i int) int64 {
	return baseMs + int64(i*37%records)*1000 + int64(partition)
}

// recordsOf gives the records of one partition in offset order.
func recordsOf(codec, partition int) []item {
	var items []item
	for i := range records {
		seed := uint32(codec*100_000 + partition*1000 + 1 + i)
		items = append(items, item{int32(partition), keyOf(seed, i), valueOf(seed, i),
			headersOf(seed, i), timestampOf(partition, i)})
	}
	return items
}

// allRecords gives the records of all partitions, interleaved as they are to be sent.
func allRecords(codec int) []item {
	var items []item
	for i := range records {
		for p := range partitions {
			items = append(items, recordsOf(codec, p)[i])
		}
	}
	return items
}

// bulkItems gives many small ones for one partition, so that requests are pipelined.
func bulkItems(count int) []item {
	var items []item
	for i := range count {
		items = append(items, item{0, []byte(strconv.Itoa(i)),
			randomBytes(uint32(7_000_000+i), 100), nil, baseMs + int64(i)})
	}
	return items
}

// firstAtOrAfter is what ListOffsets must answer: the first offset whose record is not older.
func firstAtOrAfter(items []item, timestamp int64) (int64, bool) {
	for offset, it := range items {
		if it.timestamp >= timestamp {
			return int64(offset), true
		}
	}
	return 0, false
}

func same(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func shorten(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%d bytes % x", len(b), b[:min(8, len(b))])
}

// difference is an error naming the first one, nil when the two are byte for byte the same.
func difference(got, wanted item) error {
	switch {
	case got.partition != wanted.partition:
		return fmt.Errorf("partition %d, wanted %d", got.partition, wanted.partition)
	case !same(got.key, wanted.key):
		return fmt.Errorf("key %s, wanted %s", shorten(got.key), shorten(wanted.key))
	case !same(got.value, wanted.value):
		return fmt.Errorf("value %s, wanted %s", shorten(got.value), shorten(wanted.value))
	case got.timestamp != wanted.timestamp:
		return fmt.Errorf("timestamp %d, wanted %d", got.timestamp, wanted.timestamp)
	case len(got.headers) != len(wanted.headers):
		return fmt.Errorf("%d headers, wanted %d", len(got.headers), len(wanted.headers))
	}
	for i, w := range wanted.headers {
		if g := got.headers[i]; g.name != w.name || !same(g.value, w.value) {
			return fmt.Errorf("header %s=%s, wanted %s=%s", g.name, shorten(g.value), w.name, shorten(w.value))
		}
	}
	return nil
}
