// The checks of tests/clients/README.md on franz-go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

var keep = map[string]string{"retention.ms": "-1"}

type suite struct {
	*client
	prefix         string
	passed, failed int
}

func main() {
	bootstrap := flag.String("bootstrap", "", "HOST:PORT of the broker")
	prefix := flag.String("prefix", fmt.Sprintf("franz-go-%d", time.Now().UnixMilli()), "start of every topic name")
	first := flag.String("first-record", "", "topic: no checks, see the README")
	flag.Parse()
	if *bootstrap == "" {
		fmt.Fprintln(os.Stderr, "--bootstrap HOST:PORT is missing")
		os.Exit(2)
	}
	if *first != "" {
		if err := firstRecord(*bootstrap, *first); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	c, err := newClient(*bootstrap)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	s := &suite{client: c, prefix: *prefix}
	s.run()
	fmt.Printf("%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func (s *suite) run() {
	s.check("create topics", s.create)
	for codec, name := range codecs {
		if !s.check("produce "+name, func() error { return s.produceCodec(codec) }) {
			nothing := func() error { return errors.New("nothing was produced") }
			s.check("consume "+name, nothing)
			s.check("offsets "+name, nothing)
			continue
		}
		s.check("consume "+name, func() error { return s.consume(codec) })
		s.check("offsets "+name, func() error { return s.offsets(codec) })
	}
	s.check("seek into a batch", s.seek)
	s.check("offset of the newest timestamp", s.newest)
	s.check("bulk", s.bulk)
	s.check("acks 1", func() error { return s.acks("1") })
	s.check("acks 0", func() error { return s.acks("0") })
	s.check("fetch waits for a record", s.tail)
	s.check("topic made by the first produce", s.autoCreate)
	s.check("record above the limit refused", s.tooLarge)
	s.check("record just under the limit", s.justUnder)
	s.check("delete topic", s.delete)
	s.checkGroups()
}

func (s *suite) check(name string, body func() error) bool {
	if err := body(); err != nil {
		s.failed++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return false
	}
	s.passed++
	fmt.Printf("ok   %s\n", name)
	return true
}

func (s *suite) topic(part string) string { return s.prefix + "-" + part }

func expect[T comparable](what string, got, wanted T) error {
	if got != wanted {
		return fmt.Errorf("%s: got %v, wanted %v", what, got, wanted)
	}
	return nil
}

func until(what string, condition func() (bool, error)) error {
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if met, err := condition(); err != nil || met {
			return err
		}
	}
	return fmt.Errorf("%s: not within %s", what, deadline)
}

// untilListed waits until the topic has count partitions with a leader; 0 waits for its end.
func (s *suite) untilListed(topic string, count int) error {
	return until(fmt.Sprintf("%s listed with %d partitions", topic, count), func() (bool, error) {
		listed, err := s.topics()
		return listed[topic] == count, err
	})
}

func (s *suite) create() error {
	for _, name := range codecs {
		limits := map[string]string{"retention.ms": "-1", "max.message.bytes": fmt.Sprint(topicLimit)}
		if err := s.createTopic(s.topic(name), partitions, limits); err != nil {
			return err
		}
		if err := s.untilListed(s.topic(name), partitions); err != nil {
			return err
		}
	}
	for _, part := range []string{"bulk", "acks-0", "acks-1", "tail", "limit"} {
		if err := s.createTopic(s.topic(part), 1, keep); err != nil {
			return err
		}
		if err := s.untilListed(s.topic(part), 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) produceCodec(codec int) error {
	offsets, err := s.produce(s.topic(codecs[codec]), allRecords(codec), codecs[codec], "all")
	if err != nil {
		return err
	}
	for at, offset := range offsets {
		if err := expect(fmt.Sprintf("offset of record %d", at), offset, int64(at/partitions)); err != nil {
			return err
		}
	}
	return nil
}

// readAndCompare reads what must be there from offset start on.
func (s *suite) readAndCompare(topic string, partition int32, start int64, wanted []item) error {
	got, err := s.read(topic, partition, start, len(wanted), nil)
	if err != nil {
		return err
	}
	return compare(got, wanted, start)
}

func compare(got []readItem, wanted []item, start int64) error {
	if err := expect("number of records", len(got), len(wanted)); err != nil {
		return err
	}
	for at, want := range wanted {
		if err := expect("offset", got[at].offset, start+int64(at)); err != nil {
			return err
		}
		if err := difference(got[at].item, want); err != nil {
			return fmt.Errorf("offset %d: %w", got[at].offset, err)
		}
	}
	return nil
}

func (s *suite) consume(codec int) error {
	for p := range partitions {
		if err := s.readAndCompare(s.topic(codecs[codec]), int32(p), 0, recordsOf(codec, p)); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return nil
}

func (s *suite) offsets(codec int) error {
	topic := s.topic(codecs[codec])
	for p := range partitions {
		items := recordsOf(codec, p)
		first, err := s.beginning(topic, int32(p))
		if err := errors.Join(err, expect("beginning", first, 0)); err != nil {
			return err
		}
		end, err := s.end(topic, int32(p))
		if err := errors.Join(err, expect("end", end, int64(len(items)))); err != nil {
			return err
		}
		asked := []int64{0, baseMs + 7001}
		for _, it := range items {
			asked = append(asked, it.timestamp)
		}
		asked = append(asked, slices.Max(asked)+1)
		for _, timestamp := range asked {
			got, err := s.atTime(topic, int32(p), timestamp)
			wanted, found := firstAtOrAfter(items, timestamp)
			if !found {
				wanted = end
			}
			if err := errors.Join(err, expect(fmt.Sprintf("offset at %d", timestamp), got, wanted)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *suite) seek() error {
	codec := len(codecs) - 1
	items := recordsOf(codec, 1)
	for _, start := range []int64{7, 19, 20, 21, 22, records - 1} {
		if err := s.readAndCompare(s.topic(codecs[codec]), 1, start, items[start:start+1]); err != nil {
			return fmt.Errorf("from %d: %w", start, err)
		}
	}
	return nil
}

func (s *suite) newest() error {
	for codec, name := range codecs {
		wanted, _ := firstAtOrAfter(recordsOf(codec, 2), baseMs+int64(records-1)*1000)
		got, err := s.atMaxTimestamp(s.topic(name), 2)
		if err := errors.Join(err, expect("offset in "+name, got, wanted)); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) bulk() error {
	items := bulkItems(bulkRecords)
	offsets, err := s.produce(s.topic("bulk"), items, "none", "all")
	if err != nil {
		return err
	}
	for at, offset := range offsets {
		if err := expect("offset acknowledged", offset, int64(at)); err != nil {
			return err
		}
	}
	if err := s.readAndCompare(s.topic("bulk"), 0, 0, items); err != nil {
		return err
	}
	end, err := s.end(s.topic("bulk"), 0)
	return errors.Join(err, expect("end", end, int64(len(items))))
}

func (s *suite) acks(acks string) error {
	topic, items := s.topic("acks-"+acks), bulkItems(100)
	if _, err := s.produce(topic, items, "none", acks); err != nil {
		return err
	}
	err := until("all records in the log", func() (bool, error) {
		end, err := s.end(topic, 0)
		return end == int64(len(items)), err
	})
	if err != nil {
		return err
	}
	return s.readAndCompare(topic, 0, 0, items)
}

// tail: a reader that has caught up is given the next record when it comes.
func (s *suite) tail() error {
	items := bulkItems(2)
	if _, err := s.produce(s.topic("tail"), items[:1], "none", "all"); err != nil {
		return err
	}
	first, done := make(chan struct{}), make(chan error, 1)
	go func() {
		got, err := s.read(s.topic("tail"), 0, 0, 2, first)
		if err == nil {
			err = compare(got, items, 0)
		}
		done <- err
	}()
	select {
	case <-first:
	case err := <-done:
		return fmt.Errorf("first record not seen: %w", err)
	}
	if _, err := s.produce(s.topic("tail"), items[1:], "none", "all"); err != nil {
		return err
	}
	return <-done
}

func (s *suite) autoCreate() error {
	topic, items := s.topic("auto"), bulkItems(5)
	listed, err := s.topics()
	if err := errors.Join(err, expect("partitions before", listed[topic], 0)); err != nil {
		return err
	}
	if _, err := s.produce(topic, items, "none", "all"); err != nil {
		return err
	}
	if err := s.readAndCompare(topic, 0, 0, items); err != nil {
		return err
	}
	return s.untilListed(topic, 1)
}

func single(seed uint32, length int) []item {
	return []item{{0, nil, randomBytes(seed, length), nil, baseMs}}
}

func (s *suite) tooLarge() error {
	_, err := s.produce(s.topic("limit"), single(99, defaultLimit+1), "none", "all")
	if errors.Is(err, errTooLarge) {
		return nil
	}
	return fmt.Errorf("wanted the broker's refusal, got %v", err)
}

func (s *suite) justUnder() error {
	items := single(98, defaultLimit-200)
	if _, err := s.produce(s.topic("limit"), items, "none", "all"); err != nil {
		return err
	}
	if err := s.readAndCompare(s.topic("limit"), 0, 0, items); err != nil {
		return err
	}
	end, err := s.end(s.topic("limit"), 0)
	return errors.Join(err, expect("end", end, 1))
}

func (s *suite) delete() error {
	topic := s.topic("bulk")
	if err := s.deleteTopic(topic); err != nil {
		return err
	}
	if err := s.untilListed(topic, 0); err != nil {
		return err
	}
	if err := s.createTopic(topic, 1, keep); err != nil {
		return err
	}
	if err := s.untilListed(topic, 1); err != nil {
		return err
	}
	end, err := s.end(topic, 0)
	return errors.Join(err, expect("end of the new topic", end, 0))
}
