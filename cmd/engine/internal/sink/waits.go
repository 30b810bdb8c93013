package sink

import (
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/warpstreamlabs/bento/public/service"
)

// waits knows which batches of a sink wait and why, over all its connections, so that an outage is one line in the log
// and not one for each attempt.
type waits struct {
	log     *service.Logger
	options *Options
	gauge   *service.MetricGauge
	person  *service.MetricGauge
	// why tells for each class what was logged about it, by the label text.
	why *service.MetricGauge

	mu      sync.Mutex
	waiting map[string]int
	persons map[string]int
	said    map[string]said
	texts   map[string]bool
}

// said is what was logged about a class, and when.
type said struct {
	at   time.Time
	text string
}

// mostTexts bounds what the metric of texts keeps for ever; later ones have no text there.
const mostTexts = 200

func newWaits(options *Options, mgr *service.Resources) *waits {
	w := &waits{
		log:     mgr.Logger(),
		options: options,
		gauge:   gauge(mgr, options.Metrics.Waiting, "reason"),
		person:  gauge(mgr, options.Metrics.NeedsPerson, "reason"),
		why:     gauge(mgr, options.Metrics.Why, "reason", "text"),
		waiting: map[string]int{},
		persons: map[string]int{},
		said:    map[string]said{},
		texts:   map[string]bool{},
	}
	for _, class := range options.Classes {
		w.gauge.Set(0, class)
	}
	return w
}

func gauge(mgr *service.Resources, name string, labels ...string) *service.MetricGauge {
	if name == "" {
		return nil
	}
	return mgr.Metrics().NewGauge(name, labels...)
}

// wait is the state of one batch.
type wait struct {
	all    *waits
	class  string
	person bool
	// attempt counts what was begun, so that the silence of one is not reported of the next.
	attempt int
}

// because notes that the batch waits, and logs why if that is news.
func (w *wait) because(v Verdict) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.note(v)
}

func (w *wait) note(v Verdict) {
	all := w.all
	all.move(w, v.Class, v.Kind == Person)
	if _, known := all.said[v.Class]; !known {
		text := all.remembered(v.Text)
		all.said[v.Class] = said{time.Now(), text}
		all.why.Set(1, v.Class, text)
		all.log.Warnf(all.options.Waits, v.Class, v.Text)
	}
}

// begun notes that an attempt begins; the function that it returns must be called when it has returned.
func (w *wait) begun() (ended func()) {
	silence := w.all.options.Silence
	if silence == 0 {
		return func() {}
	}
	attempt := w.next()
	timer := time.AfterFunc(silence, func() {
		w.all.mu.Lock()
		defer w.all.mu.Unlock()
		if w.attempt == attempt {
			w.note(Verdict{Class: ClassTimeout, Text: "no answer within " + silence.String()})
		}
	})
	return func() {
		timer.Stop()
		w.next()
	}
}

func (w *wait) next() int {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.attempt++
	return w.attempt
}

// over notes that the destination has answered.
func (w *wait) over() {
	all := w.all
	all.mu.Lock()
	defer all.mu.Unlock()
	if w.class == "" {
		return
	}
	all.move(w, "", false)
	var ended []string
	var since time.Time
	for class, began := range all.said {
		if all.waiting[class] == 0 {
			ended = append(ended, class)
			if since.IsZero() || began.at.Before(since) {
				since = began.at
			}
			all.why.Set(0, class, began.text)
			delete(all.said, class)
		}
	}
	if len(ended) > 0 {
		sort.Strings(ended)
		all.log.Infof(all.options.Resumes, time.Since(since).Round(100*time.Millisecond), strings.Join(ended, ", "))
	}
}

// abandon notes that the engine stops before the batch was written.
func (w *wait) abandon() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.all.move(w, "", false)
}

func (all *waits) remembered(text string) string {
	if !all.texts[text] && len(all.texts) >= mostTexts {
		return ""
	}
	all.texts[text] = true
	return text
}

func (all *waits) move(w *wait, to string, person bool) {
	if w.class != to {
		count(all.waiting, all.gauge, w.class, -1)
		count(all.waiting, all.gauge, to, +1)
	}
	if w.class != to || w.person != person {
		if w.person {
			count(all.persons, all.person, w.class, -1)
		}
		if person {
			count(all.persons, all.person, to, +1)
		}
	}
	w.class, w.person = to, person
}

func count(counts map[string]int, gauge *service.MetricGauge, class string, by int) {
	if class != "" {
		counts[class] += by
		gauge.Set(int64(counts[class]), class)
	}
}

// pause doubles from attempt to attempt. Each one is drawn from the upper half of its length, so
// that many writers do not come back at the same moment.
type pause struct {
	current, longest time.Duration
}

func (p *pause) next() time.Duration {
	half := p.current / 2
	drawn := half + rand.N(half+1)
	p.current = min(2*p.current, p.longest)
	return drawn
}
