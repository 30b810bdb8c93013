// Package flush tells the components of a stream that records which they keep for a while are wanted done now: the input
// gives a partition away, or the engine has begun to end and waits for what is on its way.
package flush

import (
	"sync"

	"github.com/warpstreamlabs/bento/public/service"
)

// Signal goes from the input to components that keep records.
type Signal struct {
	mu sync.Mutex
	// asked is closed while somebody wants everything done.
	asked  chan struct{}
	wanted int
	ended  bool
}

type key struct{}

// Of returns the signal that all components of a stream share.
func Of(mgr *service.Resources) *Signal {
	one, _ := mgr.GetOrSetGeneric(key{}, &Signal{asked: make(chan struct{})})
	return one.(*Signal)
}

// Ask wants everything done, what is kept and what comes, until it is over.
func (s *Signal) Ask() (over func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted++; s.wanted == 1 {
		close(s.asked)
	}
	return s.over
}

func (s *Signal) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted--; s.wanted == 0 {
		s.asked = make(chan struct{})
	}
}

// End wants everything done from now on.
func (s *Signal) End() {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if !ended {
		s.Ask()
	}
}

// Asked is closed as soon as what is kept at the time of the call is wanted done.
func (s *Signal) Asked() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}
