package deadletters

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"ddpm/engine/sink"
)

// Classes say in one word why letters have to wait. They are labels of the metric dead_letter_waiting.
const (
	classTopic      = "topic"
	classRights     = "rights"
	classConnection = "connection"
	classTooLarge   = "too_large"
	classBreaker    = "breaker"
)

var classes = []string{classTopic, classRights, classConnection, classTooLarge, classBreaker}

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
)

// obstacle is why letters wait, with a class of its own choice.
type obstacle struct {
	class string
	text  string
}

func (o *obstacle) Error() string { return o.text }

// Classify says what letters wait for. None is ever refused: there is no place behind the dead letters.
func (o *output) Classify(err error) sink.Verdict {
	v := sink.Verdict{Kind: sink.Person, Class: classOf(err)}
	v.Hold = v.Class == classBreaker
	if v.Class == classConnection {
		v.Kind = sink.Retry
	}
	return v
}

func classOf(err error) string {
	var o *obstacle
	switch {
	case errors.As(err, &o):
		return o.class
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition), errors.Is(err, sarama.ErrInvalidTopic):
		return classTopic
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return classRights
	}
	return classConnection
}
