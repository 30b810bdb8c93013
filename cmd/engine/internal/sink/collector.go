package sink

import (
	"context"
	"sync"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/sink/flush"
)

// Unit is what a Collector fills: a file, an upload, a transaction over several batches.
type Unit interface {
	// Add takes the rows of one write, which it may not keep beyond the call, and returns those that it refuses for what they
	// hold. An error says that the unit is of no more use.
	Add(rows Rows) ([]Failure, error)
	// Close makes all rows that were added durable, and visible at once. After an error none of them counts as written: they
	// are added to another unit. It is called once.
	Close(ctx context.Context) error
	// Drop gives a unit up that is not to be closed: nobody may see what is in it.
	Drop()
}

// Collector is for a destination that is written in units of many batches. Each write returns when its unit is closed, so
// that records are acknowledged late and never too early. What is held until then is bounded: a unit is closed once it has
// the rows of as many writes as the engine has in flight. It is closed at once when the engine drains, or gives a partition
// away.
type Collector struct {
	open   func() (Unit, error)
	limits Limits
	signal *flush.Signal

	mu      sync.Mutex
	current *filling
}

// Limits say when a unit is closed.
type Limits struct {
	// Writes is how many batches a unit takes: max_in_flight of the output, or less.
	Writes int
	// Bytes closes it when the documents take so many; 0 for never.
	Bytes int
	// Age closes it so long after its first row.
	Age time.Duration
}

// NewCollector returns a collector that opens its units by a function.
func NewCollector(open func() (Unit, error), limits Limits, mgr *service.Resources) *Collector {
	return &Collector{open: open, limits: limits, signal: flush.Of(mgr)}
}

// filling is a unit that rows are added to.
type filling struct {
	unit          Unit
	writes, bytes int
	age           *time.Timer
	asked         <-chan struct{}
	// full is closed when no more rows are added, and closed with err when the unit is.
	full, closed chan struct{}
	err          error
}

// Write adds rows and returns when they are durable, or why they are not. It is what Sink.Write calls.
func (c *Collector) Write(ctx context.Context, rows Rows) (Result, error) {
	f, refused, err := c.add(ctx, rows)
	if err != nil {
		return Result{}, err
	}
	select {
	case <-f.full:
	case <-f.age.C:
		c.end(ctx, f)
	case <-f.asked:
		c.end(ctx, f)
	case <-ctx.Done():
		// The engine stops at once, and what is not closed is read again.
		c.giveUp(f, ctx.Err())
	}
	<-f.closed
	if f.err != nil {
		return Result{}, f.err
	}
	return Result{Committed: rows.Len() - len(refused), Failures: refused}, nil
}

// add puts rows into the unit of the moment, and ends that if it is full then.
func (c *Collector) add(ctx context.Context, rows Rows) (*filling, []Failure, error) {
	f, refused, full, err := c.put(rows)
	if f != nil && err != nil {
		f.drop(err)
	} else if full {
		f.close(ctx)
	}
	return f, refused, err
}

// put adds rows under the lock. A unit that is full then, or cannot be filled, is sealed, and the caller's to end.
func (c *Collector) put(rows Rows) (f *filling, refused []Failure, full bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f = c.current; f == nil {
		unit, err := c.open()
		if err != nil {
			return nil, nil, false, err
		}
		f = &filling{
			unit: unit, age: time.NewTimer(c.limits.Age), asked: c.signal.Asked(),
			full: make(chan struct{}), closed: make(chan struct{}),
		}
		c.current = f
	}
	if refused, err = f.unit.Add(rows); err != nil {
		c.seal(f)
		return f, nil, false, err
	}
	f.writes++
	if c.limits.Bytes > 0 {
		f.bytes += bytesOf(rows)
	}
	if full = f.writes >= c.limits.Writes || c.limits.Bytes > 0 && f.bytes >= c.limits.Bytes; full {
		c.seal(f)
	}
	return f, refused, full, nil
}

// end closes a unit, in one of the writes that wait for it.
func (c *Collector) end(ctx context.Context, f *filling) {
	if c.take(f) {
		f.close(ctx)
	}
}

// giveUp drops a unit; the writes that wait for it fail.
func (c *Collector) giveUp(f *filling, err error) {
	if c.take(f) {
		f.drop(err)
	}
}

// take seals a unit; false if somebody did before.
func (c *Collector) take(f *filling) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != f {
		return false
	}
	c.seal(f)
	return true
}

// seal has no more rows added.
func (c *Collector) seal(f *filling) {
	c.current = nil
	f.age.Stop()
	close(f.full)
}

func (f *filling) close(ctx context.Context) { f.finish(f.unit.Close(ctx)) }

func (f *filling) drop(err error) {
	f.unit.Drop()
	f.finish(err)
}

func (f *filling) finish(err error) {
	f.err = err
	close(f.closed)
}

func bytesOf(rows Rows) int {
	size := 0
	for i := range rows.Len() {
		if document, err := rows.Document(i); err == nil {
			size += len(document)
		}
	}
	return size
}
