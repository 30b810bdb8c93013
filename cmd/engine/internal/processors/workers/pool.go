// Package workers lets Python functions parse records, in processes beside the engine: a function that crashes,
// hangs, leaks or prints costs its record and nothing else.
package workers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a function did not read a record. The first is for what the function itself did
// wrong; the worker says which.
const (
	codeFailed   = "plugin_failed"
	codeCrashed  = "plugin_crashed"
	codeTimedOut = "plugin_timed_out"
	codeMemory   = "plugin_out_of_memory"
)

const (
	// longestPiece and largestPiece bound what one worker is given at a time, in records and bytes.
	longestPiece = 500
	largestPiece = 8 << 20
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// config is what makes two processors share their workers: all threads of a pipeline have the same.
type config struct {
	python  string
	name    string
	path    string
	workers int
	tries   int
	memory  int
	timeout time.Duration
}

// pool is a number of workers for any number of goroutines.
type pool struct {
	conf    config
	log     *service.Logger
	waiting *records.Waiting
	pieces  chan *piece
	closing chan struct{}
	gone    sync.WaitGroup
}

// piece is a part of a batch that one worker does.
type piece struct {
	ctx     context.Context
	records []records.Record
	results []records.Result
	done    chan error
}

var errClosed = errors.New("the workers are ended")

func newPool(conf config, mgr *service.Resources) *pool {
	p := &pool{
		conf: conf, log: mgr.Logger(), waiting: records.NewWaiting(mgr),
		pieces: make(chan *piece), closing: make(chan struct{}),
	}
	for range conf.workers {
		p.gone.Add(1)
		go p.work()
	}
	return p
}

// close ends the workers and returns when they have ended.
func (p *pool) close() {
	close(p.closing)
	p.gone.Wait()
}

// decode parses a batch; the error is the context's, or says that the pool was closed.
func (p *pool) decode(ctx context.Context, batch []records.Record) ([]records.Result, error) {
	results := make([]records.Result, len(batch))
	done := make(chan error, len(batch))
	given := 0
	for start := 0; start < len(batch); given++ {
		end := p.pieceEnd(batch, start)
		next := &piece{ctx, batch[start:end], results[start:end], done}
		select {
		case p.pieces <- next:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.closing:
			return nil, errClosed
		}
		start = end
	}
	for range given {
		if err := <-done; err != nil {
			return nil, err
		}
	}
	return results, nil
}

// pieceEnd is where the piece that begins at start ends: every worker gets a share, of a bounded size.
func (p *pool) pieceEnd(batch []records.Record, start int) int {
	share := min(longestPiece, (len(batch)+p.conf.workers-1)/p.conf.workers)
	end, size := start+1, len(batch[start].Payload)
	for end < len(batch) && end-start < share && size+len(batch[end].Payload) <= largestPiece {
		size += len(batch[end].Payload)
		end++
	}
	return end
}

// work is the life of one worker, through all its processes.
func (p *pool) work() {
	defer p.gone.Done()
	var running *process
	for {
		select {
		case next := <-p.pieces:
			var err error
			running, err = p.do(next, running)
			next.done <- err
		case <-p.closing:
			if running != nil {
				running.stop()
			}
			return
		}
	}
}

// do parses a piece with a process that it may have to replace, and returns the process that is left, if any.
func (p *pool) do(next *piece, running *process) (*process, error) {
	tries := make([]int, len(next.records))
	open := make([]int, len(next.records))
	for i := range open {
		open[i] = i
	}
	troubled, over := false, func() {}
	defer func() { over() }()
	for len(open) > 0 {
		var err error
		if running, err = p.ready(next.ctx, running); err != nil {
			return running, err
		}
		batch := make([]records.Record, len(open))
		for i, place := range open {
			batch[i] = next.records[place]
		}
		answered := 0
		err = running.exchange(batch, p.conf.timeout, func(i int, result records.Result) {
			next.results[open[i]] = result
			answered++
		})
		if err == nil {
			return running, nil
		}
		if !troubled {
			troubled, over = true, p.waiting.Begin(records.WaitsForRecord)
		}
		poison := p.isolate(running, err, answered, len(open))
		running = nil
		place := open[poison.at]
		tries[place]++
		remaining := open[answered:]
		if tries[place] >= p.conf.tries {
			next.results[place] = records.Result{Whole: poison.reason(tries[place])}
			remaining = without(remaining, place)
		}
		open = remaining
		p.log.Warnf("a record ended its parser: %s; %s", poison.message, describeTries(tries[place], p.conf.tries))
		if next.ctx.Err() != nil {
			return nil, next.ctx.Err()
		}
	}
	return running, nil
}

// poison is the record that a process was at when it came to its end.
type poison struct {
	at            int
	code, message string
}

func (c poison) reason(tries int) *reason.Reason {
	return reason.New(reason.StageParse, c.code, fmt.Sprintf("%s, %d times", c.message, tries))
}

// isolate ends a process that failed and finds the record that it failed on, among those that were not answered.
func (p *pool) isolate(failed *process, err error, answered, sent int) poison {
	at, known := failed.at()
	if !known || at < answered || at >= sent {
		at = answered
	}
	if errors.Is(err, errHung) {
		failed.kill()
		return poison{at, codeTimedOut, fmt.Sprintf("the plugin did not return within %s", p.conf.timeout)}
	}
	failed.awaitEnd()
	failed.kill()
	if failed.outOfMemory() {
		return poison{at, codeMemory, fmt.Sprintf("the plugin needed more than the %d MiB it may have", p.conf.memory>>20)}
	}
	return poison{at, codeCrashed, "the plugin's process ended: " + failed.end()}
}

func without(places []int, gone int) []int {
	kept := make([]int, 0, len(places))
	for _, place := range places {
		if place != gone {
			kept = append(kept, place)
		}
	}
	return kept
}

func describeTries(tries, most int) string {
	if tries >= most {
		return "it becomes a dead letter"
	}
	return fmt.Sprintf("try %d of %d follows", tries+1, most)
}

// ready returns a process that can be given records. A plugin that cannot be loaded is waited for: someone changed it
// under a running pipeline, and its records are not to blame.
func (p *pool) ready(ctx context.Context, running *process) (*process, error) {
	if running != nil {
		return running, nil
	}
	over := func() {}
	defer func() { over() }()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		started, err := start(p.conf, p.log)
		if err == nil {
			return started, nil
		}
		if pause == firstPause {
			over = p.waiting.Begin(records.WaitsForPlugin)
		}
		p.log.Errorf("waiting for the parser %s: %v", p.conf.name, err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.closing:
			return nil, errClosed
		case <-time.After(pause):
		}
	}
}
