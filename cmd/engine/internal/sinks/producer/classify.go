package producer

import (
	"context"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/sink"
)

// Classes say in one word why records have to wait. They are labels of metrics.
const (
	ClassTopic      = contract.TopicMissing
	ClassRights     = contract.TopicRights
	ClassReplicas   = contract.TopicReplicas
	ClassConnection = contract.TopicConnection
	ClassTimeout    = contract.TopicTimeout
)

// Classes are all of them.
var Classes = []string{ClassTopic, ClassRights, ClassReplicas, ClassConnection, ClassTimeout}

// Classify says what an error of Send or Refresh means, unless it is about what a record holds: see Refused.
func Classify(err error) sink.Verdict {
	switch {
	case is(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException):
		return sink.Verdict{Kind: sink.Person, Class: ClassTopic}
	case is(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed):
		return sink.Verdict{Kind: sink.Person, Class: ClassRights}
	case is(err, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend):
		return sink.Verdict{Kind: sink.Retry, Class: ClassReplicas}
	case is(err, kerr.RequestTimedOut, kgo.ErrRecordTimeout, context.DeadlineExceeded), isTimeout(err):
		return sink.Verdict{Kind: sink.Retry, Class: ClassTimeout}
	}
	return sink.Verdict{Kind: sink.Retry, Class: ClassConnection}
}

// TooLarge says that the topic takes no record of that size.
func TooLarge(err error) bool { return is(err, kerr.MessageTooLarge, kerr.RecordListTooLarge) }

// Refused says that the topic does not take a record for its size or for what it holds, such as one without a key where
// the topic is compacted.
func Refused(err error) bool { return TooLarge(err) || is(err, kerr.InvalidRecord) }

func is(err error, any ...error) bool {
	for _, each := range any {
		if errors.Is(err, each) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
