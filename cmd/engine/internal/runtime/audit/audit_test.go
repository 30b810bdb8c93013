package audit

import (
	"testing"
	"time"
)

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time         { return c.at }
func (c *clock) passes(d time.Duration) { c.at = c.at.Add(d) }
func (c *clock) untilPagesAreRead()     { c.passes(openAfter + pageSpan) }

// ledger returns the books of a stream that writes to Postgres.
func ledger() (*Ledger, *clock) {
	c := &clock{time.Unix(0, 0)}
	l := newLedger(nil, c.now)
	l.Settles()
	return l, c
}

func only(l *Ledger) *Partition { return l.all()[0] }

func openOf(l *Ledger) Open { return only(l).open(l.now(), l.keepFor(), l.settles.Load()) }

func enter(l *Ledger, first, n int64) *Page {
	return l.Enter("events", 0, first, first+n-1, 0, int(n))
}

func TestABatchThatSettlesInPartsIsBalanced(t *testing.T) {
	l, c := ledger()
	page := enter(l, 100, 10)
	page.Settle(Settled{Rows: 7, Redelivered: 1})
	page.Settle(Settled{Dead: 2})
	c.untilPagesAreRead()
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open: %+v", got)
	}
	if n := len(only(l).pages); n != 0 {
		t.Fatalf("%d pages are kept", n)
	}
}

func TestWhatIsMissingStaysOpenBehindWhatCameLater(t *testing.T) {
	l, c := ledger()
	enter(l, 100, 10).Settle(Settled{Rows: 7})
	c.passes(pageSpan)
	enter(l, 110, 10).Settle(Settled{Rows: 10})
	c.passes(pageSpan)
	enter(l, 120, 10).Settle(Settled{Rows: 8})
	c.untilPagesAreRead()
	if got := openOf(l); got != (Open{End: 110, Records: 5}) {
		t.Fatalf("open: %+v", got)
	}
}

func TestWhatIsOnItsWayIsNotReported(t *testing.T) {
	l, c := ledger()
	page := enter(l, 0, 10)
	c.passes(openAfter - time.Millisecond)
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open at once: %+v", got)
	}
	c.passes(time.Hour)
	if got := openOf(l); got != (Open{End: 10, Records: 10}) {
		t.Fatalf("open after an hour: %+v", got)
	}
	page.Settle(Settled{Rows: 10})
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open though it was written: %+v", got)
	}
}

func TestARedeliveryIsDueOnceMore(t *testing.T) {
	l, c := ledger()
	enter(l, 0, 10).Settle(Settled{Rows: 10})
	enter(l, 0, 10).Settle(Settled{Redelivered: 10})
	c.untilPagesAreRead()
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open: %+v", got)
	}
	if got := only(l).counts(); got != (counts{read: 20, documents: 20, rows: 10, redelivered: 10}) {
		t.Fatalf("counts: %+v", got)
	}
}

func TestDocumentsAreDueWhereTheyAreMadeAndWhatIsFilteredIsNot(t *testing.T) {
	l, c := ledger()
	l.Has(Passed)
	l.Has(Parsed)
	page := enter(l, 0, 3)
	l.Reached(Parsed, page, 30)
	l.Reached(Passed, page, 12)
	page.Settle(Settled{Rows: 11, Dead: 1})
	all := enter(l, 3, 2)
	l.Reached(Parsed, all, 5) // and none of them passes
	c.passes(processedAfter)
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open: %+v", got)
	}
	if got := only(l).counts(); got != (counts{read: 5, documents: 35, filtered: 23, rows: 11, dead: 1}) {
		t.Fatalf("counts: %+v", got)
	}
}

func TestWhatAProcessorIsStillAtWorkOnIsNeitherFilteredNorForgotten(t *testing.T) {
	l, c := ledger()
	l.Has(Passed)
	page := enter(l, 0, 10)
	c.passes(processedAfter - time.Second)
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open: %+v", got)
	}
	l.Reached(Passed, page, 10)
	page.Settle(Settled{Rows: 9})
	c.passes(time.Minute)
	if got := openOf(l); got != (Open{End: 10, Records: 1}) {
		t.Fatalf("open: %+v", got)
	}
	if got := only(l).counts(); got.filtered != 0 {
		t.Fatalf("%d are filtered", got.filtered)
	}
}

func TestWithoutASinkThatSettlesNothingIsMissed(t *testing.T) {
	l, c := ledger()
	l.settles.Store(false)
	l.Has(Passed)
	l.Reached(Passed, enter(l, 0, 10), 6)
	c.passes(processedAfter)
	if got := openOf(l); got != (Open{}) {
		t.Fatalf("open: %+v", got)
	}
	if got := only(l).counts(); got != (counts{read: 10, documents: 10, filtered: 4}) {
		t.Fatalf("counts: %+v", got)
	}
}

func TestPagesStayFewThoughSomethingIsLostAllTheTime(t *testing.T) {
	l, c := ledger()
	for i := range int64(mostPages + 10) {
		enter(l, 10*i, 10).Settle(Settled{Rows: 9})
		c.passes(pageSpan)
	}
	c.untilPagesAreRead()
	if got := openOf(l); got != (Open{End: 10, Records: mostPages + 10}) {
		t.Fatalf("open: %+v", got)
	}
	if n := len(only(l).pages); n > mostPages {
		t.Fatalf("%d pages are kept", n)
	}
}

func TestWhatCanHaveBeenReadBefore(t *testing.T) {
	type batch struct{ first, last, end int64 }
	for name, test := range map[string]struct {
		batches []batch
		begun   int64
	}{
		"what the log held at the start": {[]batch{{100, 109, 150}, {110, 119, 400}}, 150},
		"what was read twice":            {[]batch{{100, 109, 110}, {110, 119, 120}, {105, 119, 130}}, 130},
		"what others read meanwhile":     {[]batch{{100, 109, 110}, {150, 159, 170}}, 170},
		"two batches in another order":   {[]batch{{100, 109, 110}, {120, 129, 130}, {110, 119, 130}, {130, 139, 140}}, 110},
		"a shorter log":                  {[]batch{{100, 109, 110}, {50, 59, 60}}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := ledger()
			var page *Page
			for _, b := range test.batches {
				page = l.Enter("events", 0, b.first, b.last, b.end-b.last-1, int(b.last-b.first+1))
			}
			if page.New(test.begun-1) || !page.New(test.begun) {
				t.Fatalf("new from %d on instead of %d", page.partition.begunAt.Load(), test.begun)
			}
		})
	}
}
