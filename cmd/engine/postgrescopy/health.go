package postgrescopy

import (
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/warpstreamlabs/bento/public/service"
)

// health knows which batches wait and why, over all connections of the output, so that an outage
// is one line in the log and not one for each attempt.
type health struct {
	log   *service.Logger
	gauge *service.MetricGauge
	// why tells for each class what was logged about it, by the label text.
	why *service.MetricGauge

	mu      sync.Mutex
	waiting map[class]int
	said    map[class]said
	texts   map[string]bool
}

// said is what was logged about a class, and when.
type said struct {
	at   time.Time
	text string
}

// mostTexts bounds what the metric of texts keeps for ever; later ones have no text there.
const mostTexts = 200

func newHealth(mgr *service.Resources) *health {
	h := &health{
		log:     mgr.Logger(),
		gauge:   mgr.Metrics().NewGauge("postgres_copy_waiting", "reason"),
		why:     mgr.Metrics().NewGauge("postgres_copy_waiting_why", "reason", "text"),
		waiting: map[class]int{},
		said:    map[class]said{},
		texts:   map[string]bool{},
	}
	for _, c := range classes {
		h.gauge.Set(0, string(c))
	}
	return h
}

// wait returns the state of one batch, which does not wait yet.
func (h *health) wait() *wait { return &wait{health: h} }

type wait struct {
	health *health
	class  class
}

// because notes that the batch waits for the reason of an error, and logs it if that is news.
func (w *wait) because(err error) {
	o := obstacleOf(err)
	h := w.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.move(w, o.class)
	if _, known := h.said[o.class]; !known {
		text := h.remembered(o.Error())
		h.said[o.class] = said{time.Now(), text}
		h.why.Set(1, string(o.class), text)
		h.log.Warnf("Postgres does not take rows (%s), waiting: %s", o.class, o.Error())
	}
}

func (h *health) remembered(text string) string {
	if !h.texts[text] && len(h.texts) >= mostTexts {
		return ""
	}
	h.texts[text] = true
	return text
}

// over notes that the batch was written.
func (w *wait) over() {
	if w.class == "" {
		return
	}
	h := w.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.move(w, "")
	var ended []string
	var since time.Time
	for c, began := range h.said {
		if h.waiting[c] == 0 {
			ended = append(ended, string(c))
			if since.IsZero() || began.at.Before(since) {
				since = began.at
			}
			h.why.Set(0, string(c), began.text)
			delete(h.said, c)
		}
	}
	if len(ended) > 0 {
		sort.Strings(ended)
		h.log.Infof("Postgres takes rows again after %s (was: %s)",
			time.Since(since).Round(100*time.Millisecond), strings.Join(ended, ", "))
	}
}

// abandon notes that the engine stops before the batch was written.
func (w *wait) abandon() {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	w.health.move(w, "")
}

func (h *health) move(w *wait, to class) {
	if w.class == to {
		return
	}
	for _, change := range []struct {
		class class
		by    int
	}{{w.class, -1}, {to, +1}} {
		if change.class != "" {
			h.waiting[change.class] += change.by
			h.gauge.Set(int64(h.waiting[change.class]), string(change.class))
		}
	}
	w.class = to
}

// pause doubles from attempt to attempt. Each one is drawn from the upper half of its length, so
// that many writers do not come back at the same moment.
type pause struct {
	current, longest time.Duration
}

func newPause(first, longest time.Duration) *pause { return &pause{first, longest} }

func (p *pause) next() time.Duration {
	half := p.current / 2
	drawn := half + rand.N(half+1)
	p.current = min(2*p.current, p.longest)
	return drawn
}

// writeMetrics counts what the engine's own counters leave out: they skip every batch in which one
// record failed.
type writeMetrics struct {
	committed, duplicates, failed *service.MetricCounter
	seconds                       *service.MetricTimer
}

func newWriteMetrics(m *service.Metrics) *writeMetrics {
	return &writeMetrics{
		committed:  m.NewCounter("postgres_copy_rows_committed"),
		duplicates: m.NewCounter("postgres_copy_duplicates_skipped"),
		failed:     m.NewCounter("postgres_copy_rows_failed", "class"),
		seconds:    m.NewTimer("postgres_copy_write_seconds"),
	}
}

func (m *writeMetrics) wrote(d time.Duration) { m.seconds.Timing(d.Nanoseconds()) }

func (m *writeMetrics) count(o outcome, failures []failure) {
	m.committed.Incr(int64(o.committed))
	m.duplicates.Incr(int64(o.duplicates))
	for _, f := range failures {
		label := "payload"
		if len(f.reason.SQLState) == 5 {
			label = f.reason.SQLState[:2]
		}
		m.failed.Incr(1, label)
	}
}
