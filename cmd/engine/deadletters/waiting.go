package deadletters

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/warpstreamlabs/bento/public/service"
)

// class says in one word why letters have to wait. It is a label of the metric dead_letter_waiting.
type class string

const (
	classTopic      class = "topic"
	classRights     class = "rights"
	classConnection class = "connection"
	classTooLarge   class = "too_large"
	classBreaker    class = "breaker"
)

var classes = []class{classTopic, classRights, classConnection, classTooLarge, classBreaker}

// obstacle is why letters wait, with a class of its own choice.
type obstacle struct {
	class class
	text  string
}

func (o *obstacle) Error() string { return o.text }

func classOf(err error) class {
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

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
)

// waiting knows how many batches wait and why, so that a trouble is one line in the log and not one for each attempt.
type waiting struct {
	log   *service.Logger
	gauge *service.MetricGauge

	mu    sync.Mutex
	count map[class]int64
	since map[class]time.Time
}

func newWaiting(mgr *service.Resources) *waiting {
	w := &waiting{
		log:   mgr.Logger(),
		gauge: mgr.Metrics().NewGauge("dead_letter_waiting", "reason"),
		count: map[class]int64{},
		since: map[class]time.Time{},
	}
	for _, c := range classes {
		w.gauge.Set(0, string(c))
	}
	return w
}

// persist repeats an attempt with growing pauses until it succeeds or the context ends. That is reported as
// service.ErrNotConnected, which leaves the records unacknowledged.
func (w *waiting) persist(ctx context.Context, attempt func() error) error {
	var now class
	pause := firstPause
	defer func() { w.move(now, "", nil) }()
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			now = w.move(now, classOf(err), err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return service.ErrNotConnected
		}
		pause = min(2*pause, longestPause)
	}
}

// hold waits until the context ends.
func (w *waiting) hold(ctx context.Context, why *obstacle) error {
	defer w.move(w.move("", why.class, why), "", nil)
	<-ctx.Done()
	return service.ErrNotConnected
}

func (w *waiting) move(from, to class, why error) class {
	if from == to {
		return to
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(from, -1)
	w.add(to, +1)
	if _, known := w.since[to]; to != "" && !known {
		w.since[to] = time.Now()
		w.log.Warnf("the dead letters wait (%s): %s", to, why.Error())
	}
	if since, known := w.since[from]; known && w.count[from] == 0 {
		delete(w.since, from)
		if to == "" {
			w.log.Infof("the dead letters wait no more after %s (was: %s)", time.Since(since).Round(100*time.Millisecond), from)
		}
	}
	return to
}

func (w *waiting) add(c class, by int64) {
	if c != "" {
		w.count[c] += by
		w.gauge.Set(w.count[c], string(c))
	}
}
