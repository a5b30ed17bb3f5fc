package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	groupPartitions = 4
	// session is the shortest that a broker allows.
	session = 6 * time.Second
)

// owners says who owns which partition, by what members are told.
type owners struct {
	sync.Mutex
	of         map[int32]*member
	violations []string
}

// A member is one consumer of a group.
type member struct {
	*kgo.Client
	owners         *owners
	owned, revoked map[int32]bool
}

type groups struct {
	*suite
	topic   string
	members []*member
}

func (s *suite) checkGroups() {
	g := &groups{suite: s, topic: s.topic("group")}
	for _, one := range []struct {
		name string
		body func() error
	}{
		{"group reads from the beginning", g.readsAll},
		{"group goes on where it committed", g.goesOn},
		{"two members share", g.twoShare},
		{"a static member comes back unnoticed", g.staticBack},
		{"a static member that stays away is replaced", g.staticAway},
		{"cooperative members give up only what moves", g.cooperative},
		{"groups are listed, described and deleted", g.administered},
	} {
		s.check(one.name, one.body)
		for _, m := range g.members {
			m.close()
		}
		g.members = nil
	}
}

func (g *groups) join(group string, o *owners, own ...kgo.Opt) (*member, error) {
	m := &member{owners: o, owned: map[int32]bool{}, revoked: map[int32]bool{}}
	options := []kgo.Opt{
		kgo.SeedBrokers(g.bootstrap), kgo.ConsumerGroup(g.suite.topic(group)), kgo.ConsumeTopics(g.topic),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(500 * time.Millisecond), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.taken), kgo.OnPartitionsLost(m.taken),
	}
	client, err := kgo.NewClient(append(options, own...)...)
	if err != nil {
		return nil, err
	}
	m.Client = client
	g.members = append(g.members, m)
	return m, nil
}

func (m *member) assigned(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	m.owners.Lock()
	defer m.owners.Unlock()
	for _, partitions := range places {
		for _, partition := range partitions {
			if other := m.owners.of[partition]; other != nil && other != m {
				m.owners.violations = append(m.owners.violations, fmt.Sprintf("partition %d has two owners", partition))
			}
			m.owners.of[partition] = m
			m.owned[partition] = true
		}
	}
}

func (m *member) taken(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	m.owners.Lock()
	defer m.owners.Unlock()
	for _, partitions := range places {
		for _, partition := range partitions {
			if m.owners.of[partition] == m {
				delete(m.owners.of, partition)
			}
			delete(m.owned, partition)
			m.revoked[partition] = true
		}
	}
}

// poll gives what came within a tenth of a second.
func (m *member) poll() ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fetches := m.PollFetches(ctx)
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) {
			return nil, failed.Err
		}
	}
	return fetches.Records(), nil
}

func (m *member) assignment() []int32 {
	m.owners.Lock()
	defer m.owners.Unlock()
	return slices.Sorted(maps.Keys(m.owned))
}

// close leaves the group, unless the member is static.
func (m *member) close() {
	m.Client.CloseAllowingRebalance()
}

func (g *groups) leave(m *member) {
	g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == m })
	m.close()
}

func newOwners() *owners { return &owners{of: map[int32]*member{}} }

func (o *owners) check() error {
	o.Lock()
	defer o.Unlock()
	return expect("violations", fmt.Sprint(o.violations), "[]")
}

func (g *groups) produceSome(count int) error {
	items := make([]item, count)
	for n := range items {
		items[n] = item{partition: int32(n % groupPartitions), value: []byte(fmt.Sprint(n)), timestamp: 1_700_000_000_000 + int64(n)}
	}
	_, err := g.produce(g.topic, items, "none", "all")
	return err
}

// readThrough polls until count records came, which must be the offsets from first on in each partition.
func readThrough(m *member, first int64, count int) error {
	got := map[int32][]int64{}
	read := 0
	err := until("all records read", func() (bool, error) {
		records, err := m.poll()
		for _, record := range records {
			got[record.Partition] = append(got[record.Partition], record.Offset)
		}
		read += len(records)
		return read >= count, err
	})
	if err != nil {
		return err
	}
	for partition := range int32(groupPartitions) {
		for at, offset := range got[partition] {
			if err := expect("offset", offset, first+int64(at)); err != nil {
				return err
			}
		}
		if err := expect("records of a partition", len(got[partition]), count/groupPartitions); err != nil {
			return err
		}
	}
	return nil
}

func (g *groups) readsAll() error {
	if err := g.createTopic(g.topic, groupPartitions, keep); err != nil {
		return err
	}
	if err := errors.Join(g.untilListed(g.topic, groupPartitions), g.produceSome(200)); err != nil {
		return err
	}
	m, err := g.join("readers", newOwners())
	if err != nil {
		return err
	}
	if err := readThrough(m, 0, 200); err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	if err := m.CommitUncommittedOffsets(ctx); err != nil {
		return err
	}
	committed, err := g.admin.FetchOffsets(ctx, g.suite.topic("readers"))
	if err != nil {
		return err
	}
	for partition := range int32(groupPartitions) {
		told, _ := committed.Lookup(g.topic, partition)
		if err := expect("committed", told.At, 50); err != nil {
			return err
		}
	}
	return nil
}

func (g *groups) goesOn() error {
	if err := g.produceSome(40); err != nil {
		return err
	}
	m, err := g.join("readers", newOwners())
	if err != nil {
		return err
	}
	return readThrough(m, 50, 40)
}

// untilAssigned polls the members until each has as many partitions as wanted.
func untilAssigned(wanted int, members ...*member) error {
	return until(fmt.Sprintf("%d partitions each", wanted), func() (bool, error) {
		met := true
		for _, m := range members {
			if _, err := m.poll(); err != nil {
				return false, err
			}
			met = met && len(m.assignment()) == wanted
		}
		return met, nil
	})
}

func (g *groups) twoShare() error {
	o := newOwners()
	first, err := g.join("sharers", o)
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions, first); err != nil {
		return err
	}
	second, err := g.join("sharers", o)
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions/2, first, second); err != nil {
		return err
	}
	g.leave(second)
	return errors.Join(untilAssigned(groupPartitions, first), o.check())
}

// staticPair gives two static members that share the partitions.
func (g *groups) staticPair(group string, o *owners) (stays, goes *member, err error) {
	if stays, err = g.join(group, o, kgo.InstanceID("stays")); err != nil {
		return
	}
	if goes, err = g.join(group, o, kgo.InstanceID("goes")); err != nil {
		return
	}
	return stays, goes, untilAssigned(groupPartitions/2, stays, goes)
}

func (g *groups) staticBack() error {
	o := newOwners()
	stays, goes, err := g.staticPair("static", o)
	if err != nil {
		return err
	}
	had := goes.assignment()
	o.Lock()
	clear(stays.revoked)
	o.Unlock()
	g.leave(goes)
	back, err := g.join("static", o, kgo.InstanceID("goes"))
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions/2, back); err != nil {
		return err
	}
	if err := expect("partitions", fmt.Sprint(back.assignment()), fmt.Sprint(had)); err != nil {
		return err
	}
	o.Lock()
	defer o.Unlock()
	return expect("number taken from the other", len(stays.revoked), 0)
}

func (g *groups) staticAway() error {
	stays, goes, err := g.staticPair("away", newOwners())
	if err != nil {
		return err
	}
	g.leave(goes)
	gone := time.Now()
	if err := untilAssigned(groupPartitions, stays); err != nil {
		return err
	}
	if waited := time.Since(gone); waited < session/2 {
		return fmt.Errorf("replaced after %s, before its session was over", waited)
	}
	return nil
}

func (g *groups) cooperative() error {
	o, own := newOwners(), kgo.Balancers(kgo.CooperativeStickyBalancer())
	first, err := g.join("cooperative", o, own)
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions, first); err != nil {
		return err
	}
	second, err := g.join("cooperative", o, own)
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions/2, first, second); err != nil {
		return err
	}
	o.Lock()
	taken := len(first.revoked)
	o.Unlock()
	return errors.Join(expect("number taken from the first", taken, groupPartitions/2), o.check())
}

func refused(what string, err error, wanted *kerr.Error) error {
	if !errors.Is(err, wanted) {
		return fmt.Errorf("%s: got %v, wanted %v", what, err, wanted)
	}
	return nil
}

func (g *groups) administered() error {
	group := g.suite.topic("administered")
	m, err := g.join("administered", newOwners())
	if err != nil {
		return err
	}
	if err := untilAssigned(groupPartitions, m); err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	listed, err := g.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if err := expect("listed as", listed[group].State, "Stable"); err != nil {
		return err
	}
	described, err := g.admin.DescribeGroups(ctx, group)
	if err != nil {
		return err
	}
	if err := expect("members described", len(described[group].Members), 1); err != nil {
		return err
	}
	deleteGroup := func() error {
		answer, err := g.admin.DeleteGroup(ctx, group)
		return errors.Join(err, answer.Err)
	}
	if err := refused("with members", deleteGroup(), kerr.NonEmptyGroup); err != nil {
		return err
	}
	g.leave(m)
	reset := make(kadm.Offsets)
	reset.AddOffset(g.topic, 0, 7, -1)
	if err := g.admin.CommitAllOffsets(ctx, group, reset); err != nil {
		return err
	}
	committed, err := g.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	told, _ := committed.Lookup(g.topic, 0)
	if err := expect("reset to", told.At, 7); err != nil {
		return err
	}
	return errors.Join(deleteGroup(), refused("twice", deleteGroup(), kerr.GroupIDNotFound))
}
