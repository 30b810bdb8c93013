package records

import (
	"sync"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
)

// Reasons for which a parser does not go on, as labels of the metric parser_waiting.
const (
	// WaitsForRegistry is a schema registry that is away.
	WaitsForRegistry = contract.ParserRegistry
	// WaitsForPlugin is a plugin that cannot be loaded.
	WaitsForPlugin = contract.ParserPlugin
	// WaitsForRecord is a record that ends or holds up its plugin, until it is given up.
	WaitsForRecord = contract.ParserRecord
)

// Waiting tells, through the engine's metrics, that a parser waits and why. Every thread of a pipeline has a processor
// of its own and all of them share one metric, so they count together.
type Waiting struct {
	gauge *service.MetricGauge
}

var waits = struct {
	sync.Mutex
	count map[string]int64
}{count: map[string]int64{}}

// NewWaiting returns the part of a processor.
func NewWaiting(mgr *service.Resources) *Waiting {
	return &Waiting{mgr.Metrics().NewGauge(contract.Parser+contract.Waiting, "reason")}
}

// Begin notes that something waits; the function that it returns notes the end of that, once.
func (w *Waiting) Begin(reason string) (end func()) {
	w.add(reason, 1)
	return sync.OnceFunc(func() { w.add(reason, -1) })
}

func (w *Waiting) add(reason string, by int64) {
	waits.Lock()
	defer waits.Unlock()
	waits.count[reason] += by
	w.gauge.Set(waits.count[reason], reason)
}
