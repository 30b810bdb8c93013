// Package audit keeps the books of an engine: for each partition what was read from it, and what became of that. It
// counts and decides nothing: ddpm compares the books with what the consumer group has committed.
//
// Records are entered on pages, one for each partition and a few seconds. A page is balanced when every message that was
// made of its records has been settled: as a row, a duplicate or a dead letter. A page that stays open though its offsets
// are committed has lost something.
package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/warpstreamlabs/bento/public/service"
)

const (
	// pageSpan is how long records are entered on the same page.
	pageSpan = 2 * time.Second
	// openAfter is how old a page must be to be reported as open: younger ones are on their way.
	openAfter = 5 * time.Second
	// processedAfter is how old a page must be before what no processor has passed on counts as filtered.
	processedAfter = 30 * time.Second
	// postEvery is how often the metrics are brought up to date.
	postEvery = time.Second
	// mostPages bounds the open pages of a partition.
	mostPages = 1024
)

// Stage is a place on a message's way. Behind the last one that an engine has, every message is due: it must be settled.
type Stage int32

// The stages in the order of the way.
const (
	Read   Stage = iota // as records came out of Kafka
	Parsed              // behind a parser that makes any number of documents of a record
	Passed              // behind the processors of the user, which may drop documents
)

// Ledger holds the books of one stream.
type Ledger struct {
	last    atomic.Int32
	parses  atomic.Bool
	settles atomic.Bool
	now     func() time.Time
	metrics *metrics

	mu         sync.Mutex
	partitions map[place]*Partition
	keepers    int
	stop       chan struct{}
}

type place struct {
	topic     string
	partition int
}

type ledgerKey struct{}

// Of returns the ledger that all components of a stream share.
func Of(mgr *service.Resources) *Ledger {
	one, _ := mgr.GetOrSetGeneric(ledgerKey{}, newLedger(newMetrics(mgr.Metrics()), time.Now))
	return one.(*Ledger)
}

func newLedger(m *metrics, now func() time.Time) *Ledger {
	return &Ledger{now: now, metrics: m, partitions: map[place]*Partition{}}
}

// Has announces that the stream has a stage; called while the stream is built.
func (l *Ledger) Has(stage Stage) {
	if stage == Parsed {
		l.parses.Store(true)
	}
	for {
		last := l.last.Load()
		if last >= int32(stage) || l.last.CompareAndSwap(last, int32(stage)) {
			return
		}
	}
}

// Settles announces that the stream has a sink that settles its messages; without one no page is ever missed.
func (l *Ledger) Settles() { l.settles.Store(true) }

// Keep has the metrics kept up to date until Release was called as often as Keep.
func (l *Ledger) Keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keepers++; l.keepers == 1 {
		l.stop = make(chan struct{})
		go l.post(l.stop)
	}
}

// Release undoes one Keep.
func (l *Ledger) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keepers--; l.keepers == 0 {
		close(l.stop)
	}
}

func (l *Ledger) post(stop chan struct{}) {
	ticker := time.NewTicker(postEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.publish()
		case <-stop:
			return
		}
	}
}

func (l *Ledger) publish() {
	for _, p := range l.all() {
		p.publish(l.metrics, p.open(l.now(), l.keepFor(), l.settles.Load()))
	}
}

// keepFor is how long a page is kept that seems to be balanced: where processors make or drop documents, those that they
// are still at work on are not due yet.
func (l *Ledger) keepFor() time.Duration {
	if Stage(l.last.Load()) == Read {
		return openAfter
	}
	return processedAfter
}

func (l *Ledger) all() []*Partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Partition, 0, len(l.partitions))
	for _, p := range l.partitions {
		all = append(all, p)
	}
	return all
}

// Enter notes that records of a partition were read, first to last of them in a row in one batch, lag being the
// number of records behind the last one in the log at that time. It returns the page that their messages carry.
func (l *Ledger) Enter(topic string, partition int, first, last, lag int64, records int) *Page {
	l.mu.Lock()
	p, known := l.partitions[place{topic, partition}]
	if !known {
		p = &Partition{topic: topic, number: partition}
		l.partitions[place{topic, partition}] = p
	}
	l.mu.Unlock()
	page := p.enter(first, last, last+1+lag, l.now())
	p.read.Add(int64(records))
	l.Reached(Read, page, records)
	return page
}

// Reached notes that so many messages of a page have come to a stage.
func (l *Ledger) Reached(stage Stage, page *Page, messages int) {
	if page == nil {
		return
	}
	if stage == Parsed || stage == Read && !l.parses.Load() {
		page.documents.Add(int64(messages))
		page.partition.documents.Add(int64(messages))
	}
	if l.last.Load() == int32(stage) {
		page.due.Add(int64(messages))
	}
}

// Settled is what became of messages.
type Settled struct {
	// Rows were committed.
	Rows int
	// Redelivered were in the table already, and may have been read before.
	Redelivered int
	// Unexpected were in the table already, though nobody can have read them before.
	Unexpected int
	// Dead became dead letters.
	Dead int
}

func (s Settled) all() int64 { return int64(s.Rows + s.Redelivered + s.Unexpected + s.Dead) }

// Page is what was read of a partition in a few seconds.
type Page struct {
	partition *Partition
	// documents are the messages that the records became, due those that must be settled, settled those that are.
	documents, due, settled atomic.Int64

	// Guarded by the partition's lock.
	begun time.Time
	end   int64
}

// Settle notes what became of messages of the page.
func (p *Page) Settle(s Settled) {
	if p == nil {
		return
	}
	p.settled.Add(s.all())
	p.partition.rows.Add(int64(s.Rows))
	p.partition.redelivered.Add(int64(s.Redelivered))
	p.partition.unexpected.Add(int64(s.Unexpected))
	p.partition.dead.Add(int64(s.Dead))
}

// New reports whether the record at an offset was written to its topic after the engine had begun to read the partition,
// so that nobody can have read it before.
func (p *Page) New(offset int64) bool { return p != nil && offset >= p.partition.begunAt.Load() }
