package sink

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
)

type metrics struct {
	committed, duplicates, failed *service.MetricCounter
	seconds                       *service.MetricTimer
}

func newMetrics(names Metrics, mgr *service.Resources) (m metrics) {
	if names.Committed != "" {
		m.committed = mgr.Metrics().NewCounter(names.Committed)
	}
	if names.Duplicates != "" {
		m.duplicates = mgr.Metrics().NewCounter(names.Duplicates)
	}
	if names.Failed != "" {
		m.failed = mgr.Metrics().NewCounter(names.Failed, "class")
	}
	if names.Seconds != "" {
		m.seconds = mgr.Metrics().NewTimer(names.Seconds)
	}
	return m
}

func (m *metrics) count(result Result, classOf func(*reason.Reason) string) {
	m.committed.Incr(int64(result.Committed))
	m.duplicates.Incr(int64(result.Duplicates))
	for _, f := range result.Failures {
		// A document that the sink was the first to read may have failed as one that a parser reads would have.
		if f.Reason.Stage != reason.StageSink {
			continue
		}
		m.failed.Incr(1, classOf(f.Reason))
	}
}
