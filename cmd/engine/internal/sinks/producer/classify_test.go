package producer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ddpm/engine/internal/sink"
)

func TestErrorsSayWhatIsWaitedFor(t *testing.T) {
	for _, each := range []struct {
		err   error
		class string
		kind  sink.Kind
	}{
		{kerr.UnknownTopicOrPartition, ClassTopic, sink.Person},
		{kerr.UnknownTopicID, ClassTopic, sink.Person},
		{kerr.TopicAuthorizationFailed, ClassRights, sink.Person},
		{kerr.ClusterAuthorizationFailed, ClassRights, sink.Person},
		{kerr.NotEnoughReplicas, ClassReplicas, sink.Retry},
		{kerr.RequestTimedOut, ClassTimeout, sink.Retry},
		{kgo.ErrRecordTimeout, ClassTimeout, sink.Retry},
		{context.DeadlineExceeded, ClassTimeout, sink.Retry},
		{os.ErrDeadlineExceeded, ClassTimeout, sink.Retry},
		{kerr.NotLeaderForPartition, ClassConnection, sink.Retry},
		{errors.New("connection refused"), ClassConnection, sink.Retry},
	} {
		if v := Classify(fmt.Errorf("wrapped: %w", each.err)); v.Class != each.class || v.Kind != each.kind {
			t.Errorf("%v: %+v", each.err, v)
		}
		if Refused(each.err) {
			t.Errorf("%v is no record's fault", each.err)
		}
	}
}

func TestLaterRecordsOfAKeyAreSentAgain(t *testing.T) {
	key := func(k string) *kgo.Record {
		if k == "" {
			return &kgo.Record{}
		}
		return &kgo.Record{Key: []byte(k)}
	}
	records := []*kgo.Record{key("a"), key("b"), key("a"), key(""), key("b"), key("a"), key("c")}
	for _, each := range []struct{ places, want []int }{
		{nil, nil},
		{[]int{2}, []int{2, 5}},
		{[]int{1, 3}, []int{1, 3, 4}},
		{[]int{0, 1, 2, 3, 4, 5, 6}, []int{0, 1, 2, 3, 4, 5, 6}},
	} {
		if got := WithLaterOnes(records, each.places); !slices.Equal(got, each.want) {
			t.Errorf("%v: %v, want %v", each.places, got, each.want)
		}
	}
}
