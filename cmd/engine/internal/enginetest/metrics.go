package enginetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/warpstreamlabs/bento/public/service"
)

// Metrics are what the components of a stream count and set, by name and labels.
type Metrics struct {
	mu     sync.Mutex
	values map[string]map[string]int64
}

// between separates the values of labels in a key.
const between = "\x00"

// Get is the sum of a metric's values, of those with one of the labels' values if any are given.
func (m *Metrics) Get(name string, labels ...string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := int64(0)
	for key, value := range m.values[name] {
		its := strings.Split(key, between)
		if len(labels) == 0 || slices.ContainsFunc(labels, func(label string) bool { return slices.Contains(its, label) }) {
			sum += value
		}
	}
	return sum
}

func (m *Metrics) register(env *service.Environment) error {
	return env.RegisterMetricsExporter("captured", service.NewConfigSpec().Field(service.NewObjectField("").Default(map[string]any{})),
		func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return m, nil })
}

func (m *Metrics) change(name string, labels []string, to func(int64) int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]map[string]int64{}
	}
	if m.values[name] == nil {
		m.values[name] = map[string]int64{}
	}
	key := strings.Join(labels, between)
	m.values[name][key] = to(m.values[name][key])
}

// NewCounterCtor makes counters.
func (m *Metrics) NewCounterCtor(name string, _ ...string) service.MetricsExporterCounterCtor {
	return func(labels ...string) service.MetricsExporterCounter { return captured{m, name, labels} }
}

// NewTimerCtor makes timers, of which nothing is kept.
func (m *Metrics) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return noTimer{} }
}

// NewGaugeCtor makes gauges.
func (m *Metrics) NewGaugeCtor(name string, _ ...string) service.MetricsExporterGaugeCtor {
	return func(labels ...string) service.MetricsExporterGauge { return captured{m, name, labels} }
}

// Close does nothing: the values stay.
func (m *Metrics) Close(context.Context) error { return nil }

type captured struct {
	metrics *Metrics
	name    string
	labels  []string
}

func (c captured) Incr(by int64) {
	c.metrics.change(c.name, c.labels, func(n int64) int64 { return n + by })
}
func (c captured) Set(to int64) {
	c.metrics.change(c.name, c.labels, func(int64) int64 { return to })
}

type noTimer struct{}

func (noTimer) Timing(int64) {}
