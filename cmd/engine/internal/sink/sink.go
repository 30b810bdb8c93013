// Package sink is what every sink of ddpm stands on. A sink says how to connect, how to write rows and what an error
// means; the kit does the rest, the same for all: it waits out whatever no record is to blame for, and says so once in
// the log and all the while in a metric; it names the records that are refused, alone or among others, and finds them
// by halves where the sink cannot; it counts, keeps the books of the audit, and leaves a batch unacknowledged when the
// engine stops.
//
// The breaker, which holds everything back once too many records in a row are dead, is not here but in package
// deadletters: it counts over all sinks of a pipeline and what failed before them, and the dead letters are the one
// place that all of these pass. What holding back needs of a sink is a Verdict with Hold.
package sink

import (
	"context"
	"time"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/reason"
)

// Sink writes rows to one destination. Its methods are called by several goroutines at the same time.
type Sink interface {
	// Connect makes one attempt to reach the destination. It is called until it succeeds, before the first Write; a
	// connection that is lost later is for Write to make again.
	Connect(ctx context.Context) error

	// Write makes one attempt. It returns when each row is durable or has a reason why it never will be: only then are
	// the records acknowledged, so that a sink that closes its files after minutes returns after minutes. What it holds
	// until then is bounded by how many writes the engine has in flight; it must not wait for more of them than that.
	//
	// An error says that nothing is known of the rows (but see Result.Left); Classify says what it means for them.
	Write(ctx context.Context, rows Rows) (Result, error)

	// Classify says what an error of Connect or Write means. Errors after the end of the context are never asked about.
	Classify(err error) Verdict

	// Close gives up what the sink holds. No other method is called afterwards.
	Close(ctx context.Context) error
}

// Preparer is a sink that keeps something of a batch between the attempts to write it, such as its text. The kit then
// calls Prepare in the place of Write.
type Preparer interface {
	Sink
	// Prepare is called once for a batch, and waits for nothing.
	Prepare(rows Rows) Prepared
}

// Prepared is one batch of a Preparer.
type Prepared interface {
	// Write makes one attempt, as Sink.Write does. Result.Again is its own to tell.
	Write(ctx context.Context) (Result, error)
	// Release ends the batch. It is called once, whatever became of it.
	Release()
}

// Result is what became of rows.
type Result struct {
	// Committed were written, Duplicates were in the destination already.
	Committed, Duplicates int
	// Failures are the rows that the destination does not take for what they hold.
	Failures []Failure
	// Missing are rows that the sink finds it has done nothing with, which is a fault of its own: the audit reports them.
	Missing []int
	// Again reports whether an earlier attempt may have brought rows in, so that duplicates are no surprise.
	Again bool
	// Left are, beside an error, the rows that it is about, in ascending order: all others are done. Without any it is
	// about all of them.
	Left []int
}

// Failure is a row, by its place in what was written, with the reason why it was refused.
type Failure struct {
	Index  int
	Reason *reason.Reason
}

// Kind is what an error means for the rows that it struck.
type Kind int

const (
	// Retry: the rows are not to blame, and it passes by itself.
	Retry Kind = iota
	// Person: the rows are not to blame, and it lasts until a person changes something. Rows wait all the same.
	Person
	// Refuse: one of the rows holds what the destination does not take, and none of them was written. Several rows are
	// tried again by halves until it is known which.
	Refuse
)

// Verdict is what a sink says of an error.
type Verdict struct {
	Kind Kind
	// Class says in one word why rows wait. It is a label of a metric, so that a sink has few of them.
	Class string
	// Text is what the log says; the error's own if it is empty. It must not hold secrets.
	Text string
	// Reason is why the row is refused.
	Reason *reason.Reason
	// News, if there are any to come, ends the pause early once it is closed.
	News <-chan struct{}
	// Hold waits for news, or the end, without another attempt before.
	Hold bool
}

// Metrics are the names of a sink's metrics; one without a name is not kept.
type Metrics struct {
	// Waiting counts the batches that wait, by reason. NeedsPerson counts those of them that need a person. Why is 1 with
	// the text of the log for each reason that was logged and still lasts.
	Waiting, NeedsPerson, Why string
	// Committed and Duplicates count rows, Failed those that were refused, by class. The engine's own counters leave out
	// every batch in which one record failed.
	Committed, Duplicates, Failed string
	// Seconds is how long successful attempts took.
	Seconds string
}

// MetricsOf returns the usual names behind a prefix.
func MetricsOf(prefix string) Metrics {
	return Metrics{
		Waiting: prefix + contract.Waiting, NeedsPerson: prefix + "_needs_person", Why: prefix + contract.WaitingWhy,
		Committed: prefix + contract.Committed, Duplicates: prefix + contract.Duplicates, Failed: prefix + contract.Failed,
		Seconds: prefix + contract.Seconds,
	}
}

// Books says how the books of the audit are kept.
type Books int

const (
	// Rows: what is written is a row, or a duplicate of one.
	AsRows Books = iota
	// AsDeadLetters: what is written is a dead letter.
	AsDeadLetters
	// NotKept: another sink of the engine, or the one that is wrapped, keeps them.
	NotKept
)

// Options are what the kit has to know of a sink.
type Options struct {
	// Name is how the log calls the destination: "Postgres", "the file /tmp/x".
	Name string
	// Waits and Resumes are lines of the log, in fmt's verbs: class and text of what rows wait for; how long it was, and
	// the classes. Empty for the usual ones.
	Waits, Resumes string
	// Classes are those that rows can wait for, which the metric has from the start.
	Classes []string
	Metrics Metrics
	// FailedClass gives the label of a refused row; nil for its code.
	FailedClass func(*reason.Reason) string
	// FirstPause and LongestPause bound the pauses between attempts; 0 for half a second and 30 seconds.
	FirstPause, LongestPause time.Duration
	// Silence is after how long an attempt that has not returned counts as waiting, as the class "timeout"; 0 for never.
	// The attempt goes on.
	Silence time.Duration
	Books   Books
	// TakesUnchecked is set for a sink that reads the documents anyway, and sees by itself whether they are JSON. For others
	// the kit does.
	TakesUnchecked bool
	// TakesFailed is set for a sink that is for rows that failed before. Others are never given one.
	TakesFailed bool
}

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
	// ClassTimeout is the class of silence.
	ClassTimeout = "timeout"
	// classOther is the class of a verdict without one.
	classOther = "other"
)

func (o *Options) complete() {
	if o.Waits == "" {
		o.Waits = o.Name + " does not take rows (%s), waiting: %s"
	}
	if o.Resumes == "" {
		o.Resumes = o.Name + " takes rows again after %s (was: %s)"
	}
	if o.FirstPause == 0 {
		o.FirstPause = firstPause
	}
	if o.LongestPause == 0 {
		o.LongestPause = longestPause
	}
	if o.FailedClass == nil {
		o.FailedClass = func(r *reason.Reason) string { return r.Code }
	}
}
