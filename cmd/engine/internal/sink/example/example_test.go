package example

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/sink/conformance"
)

// server keeps what is posted to it, each id once. It takes a body as a whole, or not at all if a document has the key
// "poison".
type server struct {
	mu      sync.Mutex
	refuses bool
	rows    map[string]bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ids []string
	decoder := json.NewDecoder(r.Body)
	for decoder.More() {
		var posted struct {
			ID       string
			Document map[string]any
		}
		if err := decoder.Decode(&posted); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, poison := posted.Document["poison"]; poison {
			http.Error(w, "there is poison in it", http.StatusUnprocessableEntity)
			return
		}
		ids = append(ids, posted.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		http.Error(w, "closed for stocktaking", http.StatusServiceUnavailable)
		return
	}
	for _, id := range ids {
		s.rows[id] = true
	}
}

func (s *server) setRefuses(refuses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = refuses
}

func (s *server) offsets() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var offsets []int64
	for id := range s.rows {
		offset, _ := strconv.ParseInt(id[strings.LastIndex(id, "/")+1:], 10, 64)
		offsets = append(offsets, offset)
	}
	return offsets
}

func TestConformance(t *testing.T) { conform(t) }

func TestConformanceWithOneMessageForABatch(t *testing.T) {
	enginetest.Direct = true
	defer func() { enginetest.Direct = false }()
	conform(t)
}

func conform(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:    "http_lines_waiting",
		Says:       "the HTTP server does not take rows",
		Idempotent: true,
		InSilence:  true,
		Audited:    true,
		Patience:   patienceFor(os.Getenv(envWrong)),
		New: func(t testing.TB) conformance.Destination {
			s := &server{rows: map[string]bool{}}
			listening := httptest.NewServer(s)
			t.Cleanup(listening.Close)
			return conformance.Destination{
				Server: listening.Listener.Addr().String(),
				Config: func(address string) string {
					return outputName() + ":\n  url: http://" + address + "\n  timeout: 1s"
				},
				Good: func(n int) string { return fmt.Sprintf(`{"id": %d}`, n) },
				Bad: func(n int) string {
					if n%2 == 0 {
						return fmt.Sprintf(`{"id": %d`, n)
					}
					return fmt.Sprintf(`{"id": %d, "poison": true}`, n)
				},
				Stored: s.offsets,
				Refuse: func() func() {
					s.setRefuses(true)
					return func() { s.setRefuses(false) }
				},
			}
		},
	})
}
